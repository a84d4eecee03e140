package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

/** A process that is killed in mid-suite (kill -9), and started again. */
class TaskKillTest {

    @TempDir
    Path temporary;

    @Test
    void a_suite_that_is_killed_ends_with_the_same_report() throws IOException, InterruptedException {
        Path tasks = TaskFolder.write(temporary.resolve("tasks"), 40);
        Path whole = temporary.resolve("whole");
        Path killed = temporary.resolve("killed");
        Main.main(tasks.toString(), whole.toString());
        Path journal = killed.resolve("answers/choices.jsonl");
        Process process = start(tasks, killed);
        while (process.isAlive() && !(Files.exists(journal) && Files.size(journal) > 500)) {
            process.waitFor(5, TimeUnit.MILLISECONDS);
        }
        boolean alive = process.isAlive();
        process.destroyForcibly().waitFor();
        assertTrue(alive, "the suite ended before it was killed");
        assertFalse(Files.exists(killed.resolve(TaskReport.FILE)));
        long answered = Files.readAllLines(journal).size() - 1L;
        assertTrue(answered > 0 && answered < 40, answered + " answered");
        Main.main(tasks.toString(), killed.toString());
        assertEquals(
                Files.readString(whole.resolve(TaskReport.FILE)), Files.readString(killed.resolve(TaskReport.FILE)));
    }

    private Process start(Path tasks, Path out) throws IOException {
        List<String> command = List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                tasks.toString(),
                out.toString());
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(temporary.resolve("log").toFile())
                .start();
    }

    /** Runs a suite in a process of its own. */
    static final class Main {

        private Main() {}

        /** @param args tasks, and where answers go */
        public static void main(String... args) throws IOException {
            try (TaskModel model = TaskModel.of(ByteModels.decoder(DataType.FLOAT, 5), Tokenizer.bytes(), 400)) {
                TaskSuite.of(Path.of(args[0])).out(Path.of(args[1])).run(model, "model");
            }
        }
    }
}
