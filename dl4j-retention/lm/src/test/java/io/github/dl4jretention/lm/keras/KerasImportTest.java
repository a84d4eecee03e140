package io.github.dl4jretention.lm.keras;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.ModelFiles;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/** Character LSTMs from Keras files; what they predict was computed by numpy (make_char_lstm.py). */
class KerasImportTest {

    private static final int VOCABULARY = 12;

    private static MultiLayerNetwork sequential() throws Exception {
        MultiLayerNetwork imported = KerasModels.sequential(ModelFiles.path("char_lstm.h5"));
        return Retention.withUpdater(KerasModels.withRnnOutput(imported), new Adam(0.01));
    }

    private static ComputationGraph functional() throws Exception {
        ComputationGraph imported = KerasModels.functional(ModelFiles.path("char_lstm_functional.h5"));
        return Retention.withUpdater(KerasModels.withRnnOutputs(imported), new Adam(0.01));
    }

    private static RetentionConfiguration coefficient(double coefficient) {
        return RetentionConfiguration.builder().coefficient(coefficient).build();
    }

    private static INDArray array(String field) throws IOException {
        return ModelFiles.array(ModelFiles.json("char_lstm.json").get(field), DataType.FLOAT);
    }

    private static TeacherIterator taught(Teacher teacher) throws IOException {
        return new TeacherIterator(
                new ExistingDataSetIterator(List.of(new DataSet(oneHot("input"), oneHot("labels")))), teacher);
    }

    private static INDArray oneHot(String ids) throws IOException {
        INDArray array = array(ids);
        return Nd4j.eye(VOCABULARY).getRows(array.ravel().toIntVector()).reshape(array.size(0), -1, VOCABULARY);
    }

    @Test
    void a_sequential_model_predicts_as_in_Keras() throws Exception {
        assertClose(array("probabilities"), sequential().output(oneHot("input")), 1e-6);
    }

    @Test
    void a_functional_model_predicts_as_in_Keras() throws Exception {
        assertClose(array("probabilities"), functional().outputSingle(oneHot("input")), 1e-6);
    }

    @Test
    void the_import_alone_has_a_row_for_each_token_in_the_order_of_time_and_cannot_be_a_student() throws Exception {
        MultiLayerNetwork imported = KerasModels.sequential(ModelFiles.path("char_lstm.h5"));
        INDArray rows = array("probabilities").permute(1, 0, 2).dup('c').reshape('c', -1, VOCABULARY);
        assertClose(rows, imported.output(oneHot("input")), 1e-6);
        String message = assertThrows(IllegalArgumentException.class, () -> Retention.attach(imported, coefficient(1)))
                .getMessage();
        assertTrue(message.contains("got DenseLayer \"dense\""), message);
    }

    @Test
    void a_sequential_model_is_finetuned_near_itself() throws Exception {
        MultiLayerNetwork pretrained = sequential();
        Teacher teacher = Teacher.of(pretrained);
        double[] divergences = new double[2];
        for (int strong = 0; strong < 2; strong++) {
            MultiLayerNetwork student = Retention.attach(pretrained, coefficient(strong == 1 ? 10 : 0.01));
            divergences[strong] = finetune(student, teacher, () -> Networks.lastLoss(student));
        }
        assertTrue(divergences[1] < 0.5 * divergences[0], divergences[0] + " " + divergences[1]);
    }

    @Test
    void a_functional_model_is_finetuned_near_itself() throws Exception {
        ComputationGraph pretrained = functional();
        Teacher teacher = Teacher.of(pretrained, "dense");
        double[] divergences = new double[2];
        for (int strong = 0; strong < 2; strong++) {
            ComputationGraph student = Retention.attach(pretrained, coefficient(strong == 1 ? 10 : 0.01), "dense");
            RetentionOutputLayerRuntime head = (RetentionOutputLayerRuntime) student.getOutputLayer(0);
            divergences[strong] = finetune(student, teacher, head::lastTokenLoss);
        }
        assertTrue(divergences[1] < 0.5 * divergences[0], divergences[0] + " " + divergences[1]);
    }

    /** The divergence after 20 steps, which lower the loss. */
    private static double finetune(NeuralNetwork student, Teacher teacher, Supplier<TokenLoss> loss)
            throws IOException {
        student.fit(taught(teacher));
        TokenLoss first = loss.get();
        assertEquals(0, first.divergence(), 1e-6);
        for (int step = 0; step < 20; step++) {
            student.fit(taught(teacher));
        }
        TokenLoss last = loss.get();
        assertTrue(last.total() < first.total(), first + " " + last);
        assertTrue(last.divergence() > 0);
        return last.divergence();
    }

    @Test
    void a_saved_student_scores_the_same_and_can_be_detached(@TempDir Path folder) throws Exception {
        MultiLayerNetwork pretrained = sequential();
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(pretrained, coefficient(1));
        student.fit(taught(teacher), 5);
        File file = folder.resolve("student.zip").toFile();
        ModelSerializer.writeModel(student, file, true);
        MultiLayerNetwork restored = ModelSerializer.restoreMultiLayerNetwork(file, true);
        DataSet batch = taught(teacher).next();
        assertEquals(student.score(batch), restored.score(batch), 1e-6);
        MultiLayerNetwork plain = Retention.detach(restored);
        assertEquals(
                RnnOutputLayer.class, plain.getOutputLayer().conf().getLayer().getClass());
        assertClose(student.output(oneHot("input")), plain.output(oneHot("input")), 1e-7);
    }
}
