package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

class QuickstartTest {

    @TempDir
    private Path folder;

    private Path target;
    private Path source;
    private Path out;

    private record Ended(int code, String error) {}

    @BeforeEach
    void texts() throws IOException {
        target = Files.writeString(folder.resolve("target.txt"), "val x = List(1, 2, 3).map(_ + 1)\n".repeat(60));
        source = Files.writeString(folder.resolve("source.txt"), "The quick brown fox jumps. ".repeat(60));
        out = folder.resolve("out");
    }

    private Ended run(String... more) {
        List<String> args = new ArrayList<>(List.of(
                "--target",
                target.toString(),
                "--source",
                source.toString(),
                "--out",
                out.toString(),
                "--checkpoint",
                "checkpoints/transformer.zip",
                "--steps",
                "2",
                "--batch",
                "2",
                "--coefficients",
                "1"));
        args.addAll(List.of(more));
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        PrintStream screen = System.err;
        System.setErr(new PrintStream(error, true, StandardCharsets.UTF_8));
        try {
            int code =
                    Quickstart.commandLine().setOverwrittenOptionsAllowed(true).execute(args.toArray(String[]::new));
            return new Ended(code, error.toString(StandardCharsets.UTF_8));
        } finally {
            System.setErr(screen);
        }
    }

    private void assertRefused(String named, String... more) {
        Ended ended = run(more);
        assertNotEquals(0, ended.code(), ended.error());
        List<String> lines =
                ended.error().lines().filter(line -> line.startsWith("error: ")).toList();
        assertEquals(1, lines.size(), ended.error());
        assertTrue(lines.get(0).contains(named), lines.get(0));
        assertFalse(ended.error().contains("\tat "), ended.error());
        assertFalse(Files.exists(out.resolve("results.csv")));
    }

    @Test
    void writes_complete_results_once_and_overwrites_them_only_by_force() throws IOException {
        assertEquals(new Ended(0, ""), new Ended(run().code(), ""));
        List<String> csv = Files.readAllLines(out.resolve("results.csv"));
        assertEquals(4, csv.size(), csv.toString());
        assertTrue(csv.get(3).startsWith("retention 1.0,1.0,"), csv.get(3));
        assertTrue(Files.size(out.resolve("tradeoff.png")) > 5000);
        assertTrue(Files.readString(out.resolve("samples.txt")).contains("--- retention 1.0"));

        assertEquals(2, run().code());
        assertEquals(csv, Files.readAllLines(out.resolve("results.csv")));
        assertEquals(0, run("--force").code());
    }

    @Test
    void every_model_is_asked_what_the_tasks_say() throws IOException {
        Path tasks = Files.createDirectories(folder.resolve("tasks"));
        Files.writeString(tasks.resolve("t.yaml"), "format: answers\nfile: t.jsonl\nrole: source\nmaxTokens: 2\n");
        Files.writeString(
                tasks.resolve("t.jsonl"),
                """
                {"question": "What?", "answers": ["That"]}
                {"question": "Who?", "answers": ["She"]}
                """);
        assertEquals(0, run("--tasks", tasks.toString()).code());
        List<String> lines = Files.readAllLines(out.resolve("comparison.csv"));
        for (String model : List.of("base", "plain", "retention 1.0")) {
            assertTrue(lines.stream().anyMatch(line -> line.startsWith(model + ",t,source,")), lines.toString());
        }
        assertTrue(Files.exists(out.resolve("comparison.html")));
    }

    @Test
    void a_folder_that_has_results_is_left_for_the_next_number() throws IOException {
        assertEquals(out, Quickstart.freeFolder(out));
        Files.createDirectories(out);
        assertEquals(out, Quickstart.freeFolder(out));
        for (int number = 2; number < 4; number++) {
            Path used = Quickstart.freeFolder(out);
            Files.writeString(Files.createDirectories(used).resolve("results.csv"), "");
            assertEquals(folder.resolve("out-" + number), Quickstart.freeFolder(out));
        }
    }

    @Test
    void bad_arguments_end_in_one_line_that_names_them() throws IOException {
        assertRefused("--target", "--target", folder.resolve("missing.txt").toString());
        Path empty = Files.writeString(folder.resolve("empty.txt"), "");
        assertRefused("--target", "--target", empty.toString());
        Path brief = Files.writeString(folder.resolve("brief.txt"), "too short");
        assertRefused("--source", "--source", brief.toString());
        assertRefused("--coefficients", "--coefficients", "-1");
        assertRefused("--coefficients", "--coefficients", "1,x");
        assertRefused("--steps", "--steps", "0");
        assertRefused("--learning-rate", "--learning-rate", "-1");
        assertRefused("--unknown", "--unknown");
        assertRefused("--tasks", "--tasks", folder.resolve("missing").toString());
        assertRefused("model", "--model", folder.resolve("missing.zip").toString());
        assertRefused("model", "--model", brief.toString());
        Path file = Files.writeString(folder.resolve("file"), "");
        assertRefused("--out", "--out", file.toString());
    }

    @Test
    void a_model_without_softmax_cross_entropy_is_refused() throws IOException {
        MultiLayerNetwork regression = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .list()
                .layer(new OutputLayer.Builder(LossFunction.MSE)
                        .nIn(3)
                        .nOut(3)
                        .activation(Activation.IDENTITY)
                        .build())
                .build());
        regression.init();
        Path model = folder.resolve("regression.zip");
        regression.save(model.toFile());
        assertRefused("softmax", "--model", model.toString());
    }

    @Test
    void a_model_that_is_not_byte_level_is_refused() throws IOException {
        MultiLayerNetwork words = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .list()
                .layer(new LSTM.Builder().nIn(1).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(4)
                        .nOut(8)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build())
                .build());
        words.init();
        Path model = folder.resolve("words.zip");
        words.save(model.toFile());
        assertRefused("[1, 8, 64]", "--model", model.toString());
    }

    @Test
    void models_are_kept_on_request() throws IOException {
        assertEquals(0, run("--save-models").code());
        MultiLayerNetwork kept = Checkpoint.loadNetwork(out.resolve("retention-1.0.zip"));
        assertFalse(kept.getLayerWiseConfigurations().toJson().contains("RetentionOutputLayer"));
        assertTrue(Files.exists(out.resolve("plain.zip")));
    }

    @Test
    void a_loss_that_is_not_finite_ends_the_run() {
        assertRefused("loss", "--learning-rate", "1e30", "--steps", "20");
    }

    @ParameterizedTest
    @EnumSource(ModelKind.class)
    void coefficient_zero_is_plain_finetuning(ModelKind kind) throws IOException {
        MultiLayerNetwork base =
                Checkpoint.load(Path.of("checkpoints", kind.label() + ".zip")).network();
        MultiLayerNetwork plain = Retention.withUpdater(base, new Adam(1e-3));
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(base, new Adam(1e-3)),
                RetentionConfiguration.builder().coefficient(0).build());
        byte[] text = Files.readAllBytes(target);
        plain.fit(ByteWindowIterator.training(4, 64, 20, 1, text));
        student.fit(new TeacherIterator(ByteWindowIterator.training(4, 64, 20, 1, text), Teacher.of(base)));
        MultiLayerNetwork detached = Retention.detach(student);
        assertEquals(20, plain.getIterationCount());
        assertTrue(plain.params().distance2(base.params()) > 0.1);
        double worst = Differences.largest(plain.params(), detached.params());
        assertTrue(worst <= 1e-5, "largest difference of a parameter: " + worst);
    }
}
