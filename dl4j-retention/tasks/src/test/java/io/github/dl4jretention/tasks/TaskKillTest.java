package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

/** A process that is killed in mid-suite (kill -9), and started again. */
class TaskKillTest {

    /** The process makes this file when it waits. */
    private static final String WAITS = "waits";

    @TempDir
    Path temporary;

    /** The process waits in mid-suite until it's killed. */
    @Test
    void a_suite_that_is_killed_ends_with_the_same_report() throws IOException, InterruptedException {
        Path tasks = TaskFolder.write(temporary.resolve("tasks"), 40);
        Path whole = temporary.resolve("whole");
        Path killed = temporary.resolve("killed");
        Main.run(tasks, whole, TaskKillTest::goOn);
        Process process = start(tasks, killed);
        while (process.isAlive() && !Files.exists(killed.resolve(WAITS))) {
            process.waitFor(20, TimeUnit.MILLISECONDS);
        }
        assertTrue(process.isAlive(), () -> "expected a process that waits to be killed, got " + log());
        process.destroyForcibly().waitFor();
        assertFalse(Files.exists(killed.resolve(TaskReport.FILE)));
        long answered =
                Files.readAllLines(killed.resolve("answers/choices.jsonl")).size() - 1L;
        assertTrue(answered > 0 && answered < 40, answered + " answered");
        List<Integer> first = new ArrayList<>();
        Main.run(tasks, killed, (task, done, questions, left) -> {
            if (task.equals("choices")) {
                first.add(done);
            }
        });
        assertEquals(answered, first.get(0).longValue(), "what was answered isn't asked again");
        assertEquals(
                Files.readString(whole.resolve(TaskReport.FILE)), Files.readString(killed.resolve(TaskReport.FILE)));
    }

    private static void goOn(String task, int answered, int questions, double left) {}

    private String log() {
        try {
            return Files.readString(temporary.resolve("log"));
        } catch (IOException e) {
            return e.toString();
        }
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

        /**
         * Stops on its way, with some questions of "choices" answered, until it's killed.
         *
         * @param args tasks, and where answers go
         */
        public static void main(String... args) throws IOException {
            Path out = Path.of(args[1]);
            run(Path.of(args[0]), out, (task, answered, questions, left) -> {
                if (task.equals("choices") && answered > questions / 3) {
                    try {
                        Files.createFile(out.resolve(WAITS));
                        Thread.sleep(Long.MAX_VALUE);
                    } catch (IOException | InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                }
            });
        }

        static void run(Path tasks, Path out, TaskListener listener) throws IOException {
            try (TaskModel model = TaskModel.of(ByteModels.decoder(DataType.FLOAT, 5), Tokenizer.bytes(), 400)) {
                TaskSuite.of(tasks).out(out).listener(listener).run(model, "model");
            }
        }
    }
}
