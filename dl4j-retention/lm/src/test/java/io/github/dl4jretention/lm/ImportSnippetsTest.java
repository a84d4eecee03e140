package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.keras.KerasModels;
import io.github.dl4jretention.lm.onnx.OnnxModels;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import java.nio.file.Path;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/** What the docs show of imported models; the samples' DocsTest compares the two. */
class ImportSnippetsTest {

    @Test
    void keras() throws Exception {
        Path file = ModelFiles.path("char_lstm.h5");
        // snippet
        MultiLayerNetwork imported = KerasModels.sequential(file);
        MultiLayerNetwork pretrained = Retention.withUpdater(KerasModels.withRnnOutput(imported), new Adam(1e-4));
        // end
        assertEquals(imported.numParams(), pretrained.numParams());
    }

    @Test
    void onnx() throws Exception {
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        Path file = ModelFiles.path("attention.onnx");
        // snippet
        SameDiff pretrained = OnnxModels.load(file);
        OnnxModels.makeTrainable(pretrained); // weights are imported as constants
        Teacher teacher = Teacher.of(pretrained, "logits", "input");
        SameDiff student = Retention.attach(pretrained, conf, "logits", "input");
        // end
        INDArray ids =
                Nd4j.zeros(DataType.INT64, 2, pretrained.getVariable("input").placeholderShape()[1]);
        MultiDataSetIterator batches = new SingletonMultiDataSetIterator(new MultiDataSet(ids, ids.dup()));
        Retention.finetune(student, teacher, batches, 1);
        assertEquals(64, teacher.sha256().length());
        assertTrue(student.hasVariable("labels"));
    }
}
