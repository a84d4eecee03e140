package io.github.dl4jretention.internal;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

class SameDiffCopyTest {

    @Test
    void a_model_that_its_format_does_not_hold_is_refused_before_it_is_written() {
        SameDiff sd = SameDiff.create();
        sd.placeHolder("x", DataType.FLOAT, -1, 3)
                .mmul(sd.var("w", Nd4j.ones(DataType.FLOAT, 3, 5)))
                .sum()
                .rename("loss");
        sd.setLossVariables("loss");
        sd.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam(0.1))
                .dataSetFeatureMapping("x")
                .markLabelsUnused()
                .build());
        assertDoesNotThrow(() -> SameDiffCopy.requireFits(sd, true, 60));
        sd.fit(new MultiDataSet(Nd4j.ones(2, 3), null));
        assertDoesNotThrow(() -> SameDiffCopy.requireFits(sd, true, 180));
        assertDoesNotThrow(() -> SameDiffCopy.requireFits(sd, false, 60));
        assertEquals(
                "sd: expected variables, constants and updater state of at most 179 bytes, which is all that SameDiff's "
                        + "format holds, got 180; train with Sgd, which has no state, in half precision, or a "
                        + "MultiLayerNetwork",
                assertThrows(IllegalArgumentException.class, () -> SameDiffCopy.requireFits(sd, true, 179))
                        .getMessage());
    }
}
