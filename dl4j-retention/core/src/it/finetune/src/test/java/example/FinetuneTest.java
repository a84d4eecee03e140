package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.RetentionEvaluation;
import io.github.dl4jretention.listener.ReportCsv;
import io.github.dl4jretention.listener.RetentionTrainingListener;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

class FinetuneTest {

    @Test
    void the_published_jar_finetunes_a_model() {
        MultiLayerNetwork pretrained = pretrained();
        DataSetIterator batches = batches();

        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(0.5).build());
        assertTrue(student.getLayerWiseConfigurations().getConf(1).getLayer() instanceof RetentionOutputLayer);
        student.fit(new TeacherIterator(batches, teacher), 20);
        MultiLayerNetwork tuned = Retention.detach(student);

        RetentionEvaluation before = new RetentionEvaluation();
        pretrained.doEvaluation(new TeacherIterator(batches, teacher), before);
        RetentionEvaluation after = new RetentionEvaluation();
        tuned.doEvaluation(new TeacherIterator(batches, teacher), after);
        assertTrue(after.crossEntropy() < before.crossEntropy());
        assertEquals(0, before.divergence(), 1e-6);
        assertTrue(after.divergence() > 1e-4);
    }

    @Test
    void the_published_jar_reports_to_a_file(@TempDir Path folder) throws IOException {
        MultiLayerNetwork pretrained = pretrained();
        Path file = folder.resolve("reports.csv");
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().build());
        try (RetentionTrainingListener listener =
                RetentionTrainingListener.builder().to(new ReportCsv(file)).build()) {
            student.setListeners(listener);
            student.fit(new TeacherIterator(batches(), Teacher.of(pretrained)), 3);
        }
        assertEquals(4, Files.readAllLines(file).size());
    }

    private static MultiLayerNetwork pretrained() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(1)
                .updater(new Adam(1e-2))
                .list()
                .layer(new LSTM.Builder().nOut(8).build())
                .layer(new RnnOutputLayer.Builder().nOut(5).build())
                .setInputType(InputType.recurrent(5))
                .build());
        network.init();
        return network;
    }

    private static DataSetIterator batches() {
        Nd4j.getRandom().setSeed(1);
        INDArray tokens = Nd4j.zeros(DataType.FLOAT, 4, 5, 6);
        for (int i = 0; i < 4; i++) {
            for (int t = 0; t < 6; t++) {
                tokens.putScalar(new int[] {i, (i + t) % 5, t}, 1);
            }
        }
        return new ListDataSetIterator<>(List.of(new DataSet(tokens, tokens.dup())), 4);
    }
}
