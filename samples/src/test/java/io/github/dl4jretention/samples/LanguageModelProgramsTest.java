package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.LanguageModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The programs on a byte-level GPT-2 of random weights, written here byte by byte. */
class LanguageModelProgramsTest {

    private static final int WIDTH = 8;

    @TempDir
    private Path folder;

    private Path model;
    private Path target;
    private Path source;

    private record Ended(int code, String out, String error) {}

    @BeforeEach
    void files() throws IOException {
        model = Files.createDirectory(folder.resolve("model"));
        Files.writeString(
                model.resolve("config.json"),
                "{\"model_type\":\"gpt2\",\"vocab_size\":256,\"n_embd\":8,\"n_layer\":1,\"n_head\":2,\"n_positions\":64}");
        Map<String, int[]> shapes = new LinkedHashMap<>();
        shapes.put("wte.weight", new int[] {256, WIDTH});
        shapes.put("wpe.weight", new int[] {64, WIDTH});
        for (String norm : List.of("h.0.ln_1", "h.0.ln_2", "ln_f")) {
            shapes.put(norm + ".weight", new int[] {WIDTH});
            shapes.put(norm + ".bias", new int[] {WIDTH});
        }
        linear(shapes, "h.0.attn.c_attn", WIDTH, 3 * WIDTH);
        linear(shapes, "h.0.attn.c_proj", WIDTH, WIDTH);
        linear(shapes, "h.0.mlp.c_fc", WIDTH, 4 * WIDTH);
        linear(shapes, "h.0.mlp.c_proj", 4 * WIDTH, WIDTH);
        safetensors(shapes);
        target = Files.writeString(folder.resolve("target.txt"), ("val x = 1 + 2\n".repeat(160) + "\n").repeat(8));
        source = Files.writeString(folder.resolve("source.txt"), "The quick brown fox. ".repeat(200));
    }

    private static void linear(Map<String, int[]> shapes, String name, int in, int out) {
        shapes.put(name + ".weight", new int[] {in, out});
        shapes.put(name + ".bias", new int[] {out});
    }

    private void safetensors(Map<String, int[]> shapes) throws IOException {
        Random random = new Random(3);
        StringBuilder header = new StringBuilder("{");
        ByteBuffer data = ByteBuffer.allocate(1 << 20).order(ByteOrder.LITTLE_ENDIAN);
        shapes.forEach((name, shape) -> {
            int begin = data.position();
            int count = shape.length == 1 ? shape[0] : shape[0] * shape[1];
            for (int i = 0; i < count; i++) {
                data.putFloat(
                        name.contains("ln_") && name.endsWith("weight") ? 1 : (float) random.nextGaussian() * 0.3f);
            }
            header.append(header.length() == 1 ? "" : ",")
                    .append('"' + name + "\":{\"dtype\":\"F32\",\"shape\":" + java.util.Arrays.toString(shape)
                            + ",\"data_offsets\":[" + begin + "," + data.position() + "]}");
        });
        byte[] text = header.append('}').toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer file = ByteBuffer.allocate(8 + text.length + data.position()).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(text.length).put(text).put(data.flip());
        Files.write(model.resolve("model.safetensors"), file.array());
    }

    /** @param changed options and values that differ from the test's usual ones */
    private Ended finetune(String... changed) {
        Map<String, String> options = new LinkedHashMap<>(Map.of(
                "--model", model.toString(),
                "--target", target.toString(),
                "--source", source.toString(),
                "--out", folder.resolve("out").toString(),
                "--steps", "6",
                "--batch", "2",
                "--sequence-length", "32",
                "--learning-rate", "0.01",
                "--evaluate", "4"));
        for (int i = 0; i < changed.length; i += 2) {
            options.put(changed[i], changed[i + 1]);
        }
        List<String> args = new ArrayList<>();
        options.forEach((name, value) -> args.addAll(List.of(name, value)));
        return run(() -> Finetune.commandLine().execute(args.toArray(String[]::new)));
    }

    private static Ended run(java.util.function.IntSupplier program) {
        PrintStream oldOut = System.out;
        PrintStream oldError = System.err;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(error, true, StandardCharsets.UTF_8));
            int code = program.getAsInt();
            return new Ended(code, out.toString(StandardCharsets.UTF_8), error.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(oldOut);
            System.setErr(oldError);
        }
    }

    @Test
    void writes_the_tuned_folder_and_what_was_learned() throws IOException {
        Ended ended = finetune();
        assertEquals(0, ended.code(), ended.error());
        Path out = folder.resolve("out");
        LanguageModel base = LanguageModel.load(model);
        LanguageModel tuned = LanguageModel.load(out.resolve("tuned"));
        assertNotEquals(base.network().params(), tuned.network().params());
        List<String> results = Files.readAllLines(out.resolve("results.csv"));
        assertEquals(3, results.size());
        assertTrue(results.get(2).startsWith("tuned,1.0,0.01,6,2,32,1,"), results.get(2));
        double gain = Double.parseDouble(results.get(2).split(",")[9]);
        assertTrue(gain > 0, "gain " + gain);
        assertTrue(Files.size(out.resolve("tradeoff.png")) > 1000);
        assertTrue(Files.readString(out.resolve("samples.txt")).contains("--- tuned"));
        assertTrue(Files.readString(out.resolve("tuned/README.md")).contains("| data | target.txt |"));
        assertTrue(ended.error().contains("finetuning: 6 of 6 steps"), ended.error());
        Ended again = finetune();
        assertEquals(2, again.code());
        assertTrue(again.error().startsWith("error: --out: expected a new or an empty folder"), again.error());
    }

    @Test
    void refuses_what_does_not_fit_in_one_line() throws IOException {
        assertLine("--sequence-length", finetune("--sequence-length", "65"));
        assertLine("--target", finetune("--target", folder.resolve("none.txt").toString()));
        Files.writeString(model.resolve("config.json"), "{\"model_type\":\"mamba\"}");
        assertLine("--model", finetune());
        assertFalse(Files.exists(folder.resolve("out")));
    }

    private static void assertLine(String option, Ended ended) {
        assertEquals(2, ended.code(), ended.error());
        assertTrue(ended.error().startsWith("error: " + option + ": "), ended.error());
        assertEquals(1, ended.error().lines().count(), ended.error());
    }

    @Test
    void generate_prints_the_prompt_and_its_continuation() {
        String[] args = {
            "--model", model.toString(), "--prompt", "val x", "--tokens", "12", "--temperature", "0.5", "--seed", "4"
        };
        Ended first = run(() -> Generate.commandLine().execute(args));
        assertEquals(0, first.code(), first.error());
        assertTrue(first.out().startsWith("val x") && first.out().endsWith(System.lineSeparator()), first.out());
        assertTrue(first.out().length() > 6);
        assertEquals(
                first.out(), run(() -> Generate.commandLine().execute(args)).out());
        assertEquals(
                2, run(() -> Generate.commandLine().execute("--prompt", "a")).code());
    }

    @Test
    void other_programs_take_the_folder_too() {
        Ended ended = run(() -> Quickstart.commandLine()
                .execute(
                        "--model",
                        model.toString(),
                        "--target",
                        target.toString(),
                        "--source",
                        source.toString(),
                        "--out",
                        folder.resolve("quick").toString(),
                        "--steps",
                        "2",
                        "--batch",
                        "2",
                        "--coefficients",
                        "1"));
        assertEquals(0, ended.code(), ended.error());
        assertTrue(Files.exists(folder.resolve("quick/results.csv")));
    }
}
