package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.tasks.TaskModel;
import io.github.dl4jretention.tasks.TaskReport;
import io.github.dl4jretention.tasks.TaskSuite;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;

class ExampleTasksTest {

    @Test
    void the_published_jar_asks_questions(@TempDir Path folder) throws IOException {
        Files.writeString(
                folder.resolve("questions.jsonl"),
                "{\"question\": \"Which is red?\", \"choices\": [\"the sky\", \"a ball\"], \"answer\": 1}\n"
                        + "{\"question\": \"Which is wet?\", \"choices\": [\"the sea\", \"a rock\"], \"answer\": 0}\n");
        Files.writeString(folder.resolve("questions.yaml"), "format: choices\nfile: questions.jsonl\n");
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(1)
                .list()
                .layer(new LSTM.Builder().nOut(8).build())
                .layer(new RnnOutputLayer.Builder().nOut(256).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.recurrent(256))
                .build());
        network.init();
        try (TaskModel model = TaskModel.of(network, Tokenizer.bytes(), 100)) {
            TaskReport report = TaskSuite.of(folder).run(model, "model");
            assertEquals(2, report.task("questions").questions().size());
            assertTrue(report.compare(report).table().contains("forgetting"));
            assertTrue(report.table().contains("acc_norm"));
        }
    }
}
