package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.IOException;
import java.util.Map;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

class MemoryEstimateTest {

    private static LanguageModel model() throws IOException {
        return LanguageModel.load(ReferenceModels.folder("llama"));
    }

    private static DecoderBlock block(MultiLayerNetwork network) {
        return (DecoderBlock) network.getLayerWiseConfigurations().getConf(1).getLayer();
    }

    @Test
    void parts_are_those_that_are_added_up_by_hand() throws IOException {
        LanguageModel model = model();
        long parameters = model.network().numParams();
        Map<String, Long> parts =
                MemoryEstimate.builder(model).batch(2).sequenceLength(5).build().parts();
        assertEquals(4 * parameters, parts.get("student"));
        assertEquals(4 * parameters, parts.get("gradients"));
        assertEquals(8 * parameters, parts.get("Adam's moments"));
        assertEquals(4 * parameters, parts.get("teacher"));
        assertEquals(2L * 10 * model.vocabulary() * 4, parts.get("teacher's values"));
        assertTrue(!parts.containsKey("sums of gradients"));

        MemoryEstimate less = MemoryEstimate.builder(model)
                .batch(1)
                .sequenceLength(5)
                .accumulate(2)
                .recompute(true)
                .halfTeacher(true)
                .build();
        long block = model.network().getLayer(1).numParams();
        assertEquals(4 * parameters, less.parts().get("sums of gradients"));
        assertEquals(2 * parameters + 4 * block, less.parts().get("teacher"));
        assertTrue(less.parts().get("activations") < parts.get("activations") / 2, less.toString());
        assertEquals(
                less.total(),
                less.parts().values().stream().mapToLong(bytes -> bytes).sum());

        Map<String, Long> adapters = MemoryEstimate.builder(model)
                .trained(100)
                .sharedTeacher(true)
                .build()
                .parts();
        assertEquals(4 * parameters + 400, adapters.get("student"));
        assertEquals(400, adapters.get("gradients"));
        assertEquals(800, adapters.get("Adam's moments"));
        assertEquals(0, adapters.get("teacher"));
    }

    @Test
    void what_cannot_fit_is_refused_with_the_parts() throws IOException {
        MemoryEstimate estimate = MemoryEstimate.builder(model()).build();
        estimate.requireFits(estimate.total(), "the machine has");
        String message = assertThrows(
                        IllegalStateException.class,
                        () -> estimate.requireFits(estimate.total() - 1, "the machine has"))
                .getMessage();
        assertTrue(message.startsWith("memory: expected at most the "), message);
        assertTrue(message.contains("Adam's moments") && message.contains("teacher's values"), message);
        MemoryEstimate huge = MemoryEstimate.builder(model())
                .batch(1 << 30)
                .sequenceLength(1 << 20)
                .build();
        assertThrows(IllegalStateException.class, huge::requireFits);
    }

    @Test
    void a_loaded_model_recomputes_to_the_same_gradients() throws IOException {
        LanguageModel model = model();
        INDArray ids = Nd4j.createFromArray(new float[][] {{1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1}});
        DataSet batch = new DataSet(ids, ids.reshape(2, 1, 6));
        INDArray[] trained = new INDArray[2];
        for (int i = 0; i < 2; i++) {
            NativeLayers.recompute(model.network(), i == 1);
            assertEquals(i == 1, block(model.network()).isRecompute());
            MultiLayerNetwork student = Retention.attach(
                    model.network(), RetentionConfiguration.builder().build());
            assertEquals(i == 1, block(student).isRecompute());
            student.fit(batch);
            trained[i] = student.params();
        }
        assertEquals(trained[0], trained[1]);
    }
}
