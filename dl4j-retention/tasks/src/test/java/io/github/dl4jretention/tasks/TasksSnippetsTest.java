package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

/** What docs/tasks.md shows; the samples' DocsTest compares the two. */
class TasksSnippetsTest {

    @TempDir
    Path temporary;

    @Test
    void before_and_after() throws IOException {
        Path folder = TaskFolder.write(temporary.resolve("tasks"));
        Path out = Files.createDirectory(temporary.resolve("out"));
        MultiLayerNetwork pretrained = ByteModels.decoder(DataType.FLOAT, 1);
        MultiLayerNetwork tuned = ByteModels.decoder(DataType.FLOAT, 2);
        Tokenizer tokenizer = Tokenizer.bytes();
        int context = 400;
        // snippet
        TaskSuite suite = TaskSuite.of(folder); // a .yaml file for each task
        TaskReport before = suite.run(TaskModel.of(pretrained, tokenizer, context), "before");
        TaskReport after = suite.run(TaskModel.of(tuned, tokenizer, context), "after");
        TaskComparison comparison = after.compare(before);
        System.out.println(comparison.table());
        comparison.write(out); // comparison.html and comparison.csv
        // end
        assertTrue(Files.size(out.resolve("comparison.html")) > 1000);
        assertTrue(Files.size(out.resolve("comparison.csv")) > 500);
    }
}
