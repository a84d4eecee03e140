package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.keras.KerasModels;
import io.github.dl4jretention.lm.onnx.OnnxModels;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/** The models' files lie in the folder that the build around this one names. */
class ImportsTest {

    private static final Path MODELS = Path.of(System.getProperty("models"));

    @Test
    void the_published_jar_loads_and_finetunes_a_Keras_model() throws Exception {
        MultiLayerNetwork imported = KerasModels.sequential(MODELS.resolve("char_lstm.h5"));
        MultiLayerNetwork pretrained = Retention.withUpdater(KerasModels.withRnnOutput(imported), new Adam(0.01));
        INDArray text = Nd4j.eye(12).reshape(1, 12, 12);
        assertEquals(12, pretrained.output(text).sumNumber().doubleValue(), 1e-4);
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        student.fit(
                new TeacherIterator(
                        new ListDataSetIterator<>(List.of(new DataSet(text, text)), 1), Teacher.of(pretrained)),
                2);
        assertTrue(student.params().distance2(pretrained.params()) > 1e-4);
    }

    @Test
    void the_published_jar_loads_an_ONNX_model() throws Exception {
        SameDiff model = OnnxModels.load(MODELS.resolve("mlp.onnx"));
        INDArray logits = model.output(Map.of("input", Nd4j.createFromArray(1L, 2L)), "logits").get("logits");
        assertEquals(List.of(2L, 12L), List.of(logits.size(0), logits.size(1)));
        assertTrue(Double.isFinite(logits.sumNumber().doubleValue()));
    }
}
