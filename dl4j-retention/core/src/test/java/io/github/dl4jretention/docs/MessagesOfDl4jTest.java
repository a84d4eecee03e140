package io.github.dl4jretention.docs;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/** What DL4J says of the commonest mistakes is in docs/troubleshooting.md as it says it. */
class MessagesOfDl4jTest {

    private final MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
    private final MultiLayerNetwork rows = Networks.dense(DataType.FLOAT, 1, true);

    private static void explained(String message, Executable mistake) throws IOException {
        String found = assertThrows(RuntimeException.class, mistake).getMessage();
        assertTrue(found.startsWith(message), found);
        String page = Files.readString(Path.of("../docs/troubleshooting.md"));
        assertTrue(page.contains("\n* `" + message), message);
    }

    private static TeacherIterator taught(MultiLayerNetwork network, boolean sequences) {
        DataSetIterator plain = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 1, sequences));
        return new TeacherIterator(plain, Teacher.of(network));
    }

    @Test
    void labels_that_carry_a_teacher() throws IOException {
        explained(
                "Labels and preOutput must have equal shapes: got shapes [", () -> network.fit(taught(network, true)));
        explained("New shape length doesn't match original length: [", () -> network.evaluate(taught(network, true)));
        explained(
                "Unable to evaluate. Predictions and labels arrays are not same shape.",
                () -> rows.evaluate(taught(rows, false)));
    }

    @Test
    void labels_that_carry_none() throws IOException {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, Networks.INPUTS);
        features.mmul(sd.var("w", Networks.normal(DataType.FLOAT, new Random(1), Networks.INPUTS, Networks.VOCABULARY)))
                .rename("logits");
        sd.placeHolder("labels", DataType.FLOAT, -1, Networks.VOCABULARY);
        RetentionLoss.add(
                sd, "logits", "labels", RetentionConfiguration.builder().build());
        sd.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam())
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        explained(
                "The number of dataset label mapping variables set in the training configuration (2) must match the"
                        + " number of dataset label arrays (1)",
                () -> sd.fit(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 1, false)), 1));
    }

    @Test
    void what_is_closed_or_missing(@TempDir Path folder) throws IOException {
        network.close();
        explained("Unable to wrap closed buffer.", () -> Teacher.of(network));
        explained(
                "You can't use DataBuffer once it was released",
                () -> network.save(folder.resolve("model.zip").toFile()));
        DataSet unlabelled = new DataSet(Networks.rows(DataType.FLOAT, 2, 1).getFeatures(), null);
        explained(
                "Cannot merge data: Encountered null labels array",
                () -> new ListDataSetIterator<>(List.of(unlabelled, unlabelled), 4).next());
    }
}
