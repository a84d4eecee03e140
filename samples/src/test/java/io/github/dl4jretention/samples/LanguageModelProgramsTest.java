package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.LowRankAdapters;
import io.github.dl4jretention.samples.model.RandomFolder;
import io.github.dl4jretention.samples.text.BytePairs;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;
import picocli.CommandLine.Model.CommandSpec;

/** The programs on the folder of a small Llama model of random weights, whose tokens are pairs of bytes. */
class LanguageModelProgramsTest {

    @TempDir
    private Path folder;

    private Path model;
    private int vocabulary;
    private Path target;
    private Path source;

    private record Ended(int code, String out, String error) {}

    @BeforeEach
    void files() throws IOException {
        String learned = ("val x = 1 + 2\n".repeat(160) + "\n").repeat(8);
        String kept = "The quick brown fox jumps. ".repeat(200);
        model = Files.createDirectory(folder.resolve("model"));
        vocabulary = BytePairs.write(model, learned + kept, 290);
        new RandomFolder(vocabulary, 16, 2, 4, 2, 24, 128).write(model, false, 3);
        target = Files.writeString(folder.resolve("target.txt"), learned);
        source = Files.writeString(folder.resolve("source.txt"), kept);
    }

    /** @param changed options and values that differ from the test's usual ones */
    private Ended finetune(String... changed) {
        return run(() -> Finetune.commandLine().execute(args(changed).toArray(String[]::new)));
    }

    private List<String> args(String... changed) {
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
        return args;
    }

    private static String[] with(String[] options, String... more) {
        return Stream.of(options, more).flatMap(Stream::of).toArray(String[]::new);
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

    /** The program in a process of its own, killed once there is a checkpoint. */
    @Test
    @Timeout(value = 5, unit = TimeUnit.MINUTES)
    void a_finetuning_that_is_killed_goes_on_by_the_same_command() throws Exception {
        String[] options = {"--steps", "400", "--every", "20"};
        assertEquals(
                0,
                finetune(with(options, "--out", folder.resolve("whole").toString()))
                        .code());
        Path out = folder.resolve("out");
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Finetune.class.getName()));
        command.addAll(args(options));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("killed.log").toFile());
        // As in the build: sums of several threads would be rounded in another order.
        builder.environment().put("OMP_NUM_THREADS", "1");
        Process process = builder.start();
        while (process.isAlive() && checkpoints(out.resolve("run")).isEmpty()) {
            process.waitFor(1, TimeUnit.MILLISECONDS);
        }
        boolean killed = process.isAlive();
        process.destroyForcibly().waitFor();
        assertTrue(killed, Files.readString(folder.resolve("killed.log")));
        assertFalse(Files.exists(out.resolve("results.csv")));
        Path part = Files.createDirectory(out.resolve(".tuned.part123"));
        Files.writeString(part.resolve("config.json"), "{}");

        Ended other = finetune(with(options, "--learning-rate", "0.02"));
        assertEquals(2, other.code());
        assertTrue(other.error().contains("error: --out: can't go on with the run in " + out), other.error());

        Ended ended = finetune(options);
        assertEquals(0, ended.code(), ended.error());
        assertTrue(ended.error().contains("picking up where the run stopped: "), ended.error());
        assertTrue(ended.error().contains(" of 400 steps are done"), ended.error());
        assertTrue(ended.error().contains(" s left, loss "), ended.error());
        assertFalse(Files.exists(out.resolve("run")), "checkpoints of a run that is done");
        assertFalse(Files.exists(part), "what a kill left of a folder");
        assertEquals(
                LanguageModel.load(folder.resolve("whole/tuned")).network().params(),
                LanguageModel.load(out.resolve("tuned")).network().params());
        assertEquals(untimed(folder.resolve("whole")), untimed(out));

        // As if it was killed between its results and the end.
        Files.writeString(Files.createDirectory(out.resolve("run")).resolve("checkpoint.zip"), "");
        Ended done = finetune(options);
        assertEquals(0, done.code(), done.error());
        assertTrue(done.out().startsWith("the run in " + out + " is done"), done.out());
        assertFalse(Files.exists(out.resolve("run")));
    }

    @Test
    void weights_of_bfloat16_stay_so_beside_adapters() throws IOException {
        new RandomFolder(vocabulary, 16, 2, 4, 2, 24, 128).write(model, true, 3);
        List<String> args = new ArrayList<>(args("--lora", "2"));
        args.add("--merge");
        Ended ended = run(() -> Finetune.commandLine().execute(args.toArray(String[]::new)));
        assertEquals(0, ended.code(), ended.error());
        assertTrue(ended.out().contains("weights in half precision"), ended.out());
        Path out = folder.resolve("out");
        LanguageModel base = LanguageModel.load(model);
        INDArray merged = LowRankAdapters.merge(base.loadAdapters(out.resolve("adapters")))
                .params();
        INDArray tuned = LanguageModel.load(out.resolve("tuned")).network().params();
        assertTrue(merged.distance2(base.network().params()) > 1e-3);
        assertTrue(merged.sub(tuned).amaxNumber().doubleValue() <= 0x1p-8, "BFLOAT16 has 8 bits");
    }

    @Test
    void adapters_are_a_folder_of_their_own_and_can_be_merged() throws IOException {
        Ended ended = finetune("--lora", "2", "--lora-layers", "attention,up");
        assertEquals(0, ended.code(), ended.error());
        assertTrue(ended.out().contains("memory, an estimate:"), ended.out());
        assertFalse(ended.out().contains(" teacher "), ended.out());
        Path out = folder.resolve("out");
        assertFalse(Files.exists(out.resolve("tuned")));
        LanguageModel base = LanguageModel.load(model);
        MultiLayerNetwork adapted = base.loadAdapters(out.resolve("adapters"));
        Path merged = folder.resolve("merged");
        List<String> args =
                new ArrayList<>(args("--lora", "2", "--lora-layers", "attention,up", "--out", merged.toString()));
        args.add("--merge");
        assertEquals(
                0,
                run(() -> Finetune.commandLine().execute(args.toArray(String[]::new)))
                        .code());
        assertEquals(
                LowRankAdapters.merge(adapted).params(),
                LanguageModel.load(merged.resolve("tuned")).network().params());

        Ended wrong = finetune(
                "--lora",
                "2",
                "--lora-layers",
                "gait",
                "--out",
                folder.resolve("wrong").toString());
        assertEquals(2, wrong.code());
        assertTrue(wrong.error().contains("error: --lora-layers: expected names"), wrong.error());
        List<String> both = new ArrayList<>(
                args("--lora", "2", "--out", folder.resolve("half").toString()));
        both.add("--half-teacher");
        Ended half = run(() -> Finetune.commandLine().execute(both.toArray(String[]::new)));
        assertEquals(2, half.code());
        assertTrue(half.error().contains("error: --half-teacher: not with --lora"), half.error());
    }

    @Test
    void a_finetuning_of_usual_length_has_checkpoints_on_its_way() {
        CommandSpec spec = Finetune.commandLine().getCommandSpec();
        int steps = spec.findOption("--steps").getValue();
        int every = spec.findOption("--every").getValue();
        assertTrue(2 * every <= steps, every + " of " + steps);
    }

    /** Whose prompts have to leave room. */
    @ParameterizedTest
    @ValueSource(ints = {8, 16, 64})
    void short_contexts_are_long_enough_for_samples(int context) throws IOException {
        new RandomFolder(vocabulary, 16, 2, 4, 2, 24, context).write(model, false, 3);
        withBeginning();
        Ended ended = finetune("--sequence-length", String.valueOf(context));
        assertEquals(0, ended.code(), ended.error());
        String out = folder.resolve("out/samples.txt").toString();
        assertTrue(Files.readString(Path.of(out)).contains("--- tuned"));
        Ended quick = run(() -> Quickstart.commandLine()
                .execute(ofTexts("quick", "--coefficients", "1").toArray(String[]::new)));
        assertEquals(0, quick.code(), quick.error());
    }

    /** Lets the tokenizer begin each text with a token of its own, as Llama's does. */
    private void withBeginning() throws IOException {
        Path file = model.resolve("tokenizer.json");
        ObjectMapper mapper = new ObjectMapper();
        ObjectNode json = (ObjectNode) mapper.readTree(file.toFile());
        String token = json.get("added_tokens").get(0).get("content").asText();
        int id = json.get("added_tokens").get(0).get("id").asInt();
        json.set(
                "post_processor",
                mapper.readTree(
                        """
                        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "%1$s", "type_id": 0}},
                         {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                         {"Sequence": {"id": "B", "type_id": 1}}],
                         "special_tokens": {"%1$s": {"id": "%1$s", "ids": [%2$d], "tokens": ["%1$s"]}}}"""
                                .formatted(token, id)));
        mapper.writeValue(file.toFile(), json);
    }

    private static List<Path> checkpoints(Path run) throws IOException {
        if (!Files.isDirectory(run)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(run)) {
            return files.filter(file -> file.toString().endsWith(".zip")).toList();
        }
    }

    /** Results without the times. */
    private static List<String> untimed(Path out) throws IOException {
        return Files.readAllLines(out.resolve("results.csv")).stream()
                .map(line -> line.substring(0, line.lastIndexOf(',')))
                .toList();
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
        assertLine("--sequence-length", finetune("--sequence-length", "129"));
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

    private List<String> ofTexts(String out, String... more) {
        List<String> args = new ArrayList<>(List.of(
                "--model", model.toString(),
                "--target", target.toString(),
                "--source", source.toString(),
                "--out", folder.resolve(out).toString(),
                "--steps", "2",
                "--batch", "2"));
        args.addAll(List.of(more));
        return args;
    }

    @Test
    void quickstart_takes_the_folder_too() throws IOException {
        Ended ended = run(() -> Quickstart.commandLine()
                .execute(ofTexts(
                                "quick",
                                "--coefficients",
                                "1",
                                "--save-models",
                                "--cache",
                                folder.resolve("cache").toString())
                        .toArray(String[]::new)));
        assertEquals(0, ended.code(), ended.error());
        Path out = folder.resolve("quick");
        assertEquals(5, Files.readAllLines(out.resolve("results.csv")).size(), "base, plain, retention, cached");
        assertTrue(ended.out().contains("2 x 64 tokens") && ended.out().contains("nats per token"), ended.out());
        String samples = Files.readString(out.resolve("samples.txt"));
        assertTrue(samples.startsWith("=== prompt: The quick brown fox"), samples);
        assertTrue(samples.contains("--- retention 1.0"), samples);
        assertNotEquals(
                LanguageModel.load(model).network().params(),
                LanguageModel.load(out.resolve("retention-1.0")).network().params());
        String card = Files.readString(out.resolve("retention-1.0/README.md"));
        assertTrue(card.contains("| coefficient | 1.0 |"), card);
        assertTrue(card.contains(" tokens of a target text, 2 steps of 2 x 64 |"), card);
        assertFalse(card.contains("not recorded") || card.contains("not measured"), card);

        String[] again =
                ofTexts("quick", "--coefficients", "1", "--save-models").toArray(String[]::new);
        String[] forced = with(again, "--force");
        Files.delete(out.resolve("results.csv"));
        Ended refused = run(() -> Quickstart.commandLine().execute(again));
        assertLine("--out", refused);
        assertTrue(refused.error().contains(out.resolve("plain") + " is there already; --force"), refused.error());
        Ended replaced = run(() -> Quickstart.commandLine().execute(forced));
        assertEquals(0, replaced.code(), replaced.error());
        assertFalse(Files.exists(out.resolve("models.part")));
        Files.delete(out.resolve("plain/config.json"));
        assertLine("--out", run(() -> Quickstart.commandLine().execute(forced)));
        assertTrue(Files.exists(out.resolve("plain")), "not a model: left alone");
    }

    @Test
    void a_sweep_takes_the_folder_too() throws IOException {
        String[] args = ofTexts("sweep", "--candidates", "2", "--held-out", "1", "--forgetting", "10")
                .toArray(String[]::new);
        Ended ended = run(() -> CoefficientSweep.commandLine().execute(args));
        assertEquals(0, ended.code(), ended.error());
        assertTrue(ended.out().contains("recommended: #"), ended.out());
        assertTrue(ended.out().contains("in nats per token, on validation text"), ended.out());
        assertEquals(
                3, Files.readAllLines(folder.resolve("sweep/candidates.csv")).size());
        Ended again = run(() -> CoefficientSweep.commandLine().execute(args));
        assertTrue(again.error().contains("2 of 2 candidates are done"), again.error());
    }

    /** A line of each kind of document, and the text that's in it by the template that is written below. */
    private static final String[][] DOCUMENTS = {
        {"{\"text\": \"val x = 1 + 2\\nval x\"}", "val x = 1 + 2\nval x"},
        {"{\"prompt\": \"val x\", \"completion\": \" = 1 + 2\"}", "val x = 1 + 2"},
        {
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"},"
                    + " {\"role\": \"assistant\", \"content\": \"1 + 2\"}]}",
            "user: x\nassistant: 1 + 2\n"
        },
        {"{\"prompt\": \"val \", \"chosen\": \"x\", \"rejected\": \"y\"}", "val x"},
    };

    /** Writes the texts anew: 240 documents to learn, 60 of each kind, and 200 to keep; or what is in them. */
    private void documents(boolean lines) throws IOException {
        Files.writeString(
                model.resolve("tokenizer_config.json"),
                """
                {"bos_token": "%1$s", "eos_token": "%1$s",
                 "chat_template": "{%% for m in messages %%}{{ m['role'] + ': ' + m['content'] + '\\n' }}{%% endfor %%}"}"""
                        .formatted(BytePairs.END));
        StringBuilder learned = new StringBuilder();
        StringBuilder kept = new StringBuilder();
        for (int i = 0; i < 240; i++) {
            String document = DOCUMENTS[i % DOCUMENTS.length][lines ? 0 : 1];
            learned.append(document.replace("1 + 2", i + " + 2")).append('\n');
        }
        for (int i = 0; i < 200; i++) {
            String text = i + " quick brown foxes jump.";
            kept.append(lines ? "{\"text\": \"" + text + "\"}" : text).append('\n');
        }
        target = Files.writeString(folder.resolve("documents" + (lines ? ".jsonl" : ".txt")), learned);
        source = Files.writeString(folder.resolve("kept" + (lines ? ".jsonl" : ".txt")), kept);
    }

    private static List<List<String>> table(Path csv, String... without) throws IOException {
        List<String[]> rows = Files.readAllLines(csv).stream()
                .map(line -> line.split(",", -1))
                .toList();
        List<String> left = List.of(without);
        return rows.stream()
                .map(row -> IntStream.range(0, row.length)
                        .filter(column -> !left.contains(rows.get(0)[column]))
                        .mapToObj(column -> row[column])
                        .toList())
                .toList();
    }

    /** What is in the documents of a .jsonl file trains and measures as the same text in a .txt file does. */
    @Test
    void programs_read_documents_of_every_kind() throws IOException {
        for (boolean lines : new boolean[] {true, false}) {
            documents(lines);
            List<String> quick = ofTexts("quick" + lines, "--coefficients", "1");
            Ended ended = run(() -> Quickstart.commandLine().execute(quick.toArray(String[]::new)));
            assertEquals(0, ended.code(), ended.error());
            List<String> sweep = ofTexts("sweep" + lines, "--candidates", "2", "--forgetting", "10");
            Ended swept = run(() -> CoefficientSweep.commandLine().execute(sweep.toArray(String[]::new)));
            assertEquals(0, swept.code(), swept.error());
        }
        String[] times = {"step_ms", "step_ratio", "training_seconds"};
        for (String file : List.of("quick%s/results.csv", "sweep%s/candidates.csv")) {
            List<List<String>> ofLines = table(folder.resolve(file.formatted(true)), times);
            assertTrue(ofLines.size() > 1, ofLines.toString());
            assertEquals(table(folder.resolve(file.formatted(false)), times), ofLines);
        }
    }

    @Test
    void a_finetuning_learns_documents_of_every_kind_and_refuses_others_by_line() throws IOException {
        documents(true);
        Ended ended = finetune();
        assertEquals(0, ended.code(), ended.error());
        assertTrue(
                ended.out().contains("192 documents to learn, 48 held out, 200 that must not be forgotten"),
                ended.out());
        Files.writeString(target, Files.readString(target) + "{\"prompt\": \"val x\"}\n");
        String expected =
                "error: --target: file " + target + ", line 241: expected an object with text, with prompt and"
                        + " completion, with messages, or with prompt, chosen and rejected, got the keys [prompt]";
        for (Ended refused : List.of(
                finetune("--out", folder.resolve("other").toString()),
                run(() -> Quickstart.commandLine()
                        .execute(ofTexts("quick", "--coefficients", "1").toArray(String[]::new))),
                run(() -> CoefficientSweep.commandLine()
                        .execute(ofTexts("sweep", "--candidates", "2").toArray(String[]::new))))) {
            assertLine("--target", refused);
            assertEquals(expected, refused.error().strip());
        }
    }

    @Test
    void a_comparison_takes_the_folder_too() throws IOException {
        Path plan = Files.writeString(
                folder.resolve("plan.json"),
                """
                {"models": ["TRANSFORMER"], "pairs": [{"target": "KOTLIN", "sources": ["PROSE"]}],
                 "learningRates": [0.001], "seeds": [1],
                 "steps": 2, "batch": 4, "evaluationBatches": 1, "importanceExamples": 2,
                 "methods": [
                   {"method": "PLAIN", "merges": [{"merge": "WISE_FT", "strengths": [0.5]}]},
                   {"method": "RETENTION", "strengths": [1]}, {"method": "RETENTION_REVERSE", "strengths": [1]},
                   {"method": "LABEL_SMOOTHING", "strengths": [0.1]}, {"method": "L2_SP", "strengths": [1]},
                   {"method": "EWC", "strengths": [1]}, {"method": "REPLAY", "strengths": [0.25]},
                   {"method": "REPLAY_RETENTION", "strengths": [1]}, {"method": "LORA", "strengths": [2]},
                   {"method": "LORA_RETENTION", "strengths": [1]}]}""");
        Path out = folder.resolve("comparison");
        Ended ended = run(() -> Comparison.commandLine()
                .execute(
                        "--model",
                        model.toString(),
                        "--plan",
                        plan.toString(),
                        "--out",
                        out.toString(),
                        "--corpus",
                        "target/corpus"));
        assertEquals(0, ended.code(), ended.error());
        List<String> rows = Files.readAllLines(out.resolve("results.csv"));
        assertEquals(1 + 1 + 10 + 1, rows.size(), rows.toString());
        assertTrue(rows.stream().skip(1).allMatch(row -> row.startsWith("model,KOTLIN,")), rows.toString());
        assertTrue(Files.readString(out.resolve("summary.md")).contains("nats per token"));
    }

    /** The plan for a pretrained base, with smaller numbers. */
    @Test
    void a_comparison_asks_tasks() throws IOException {
        String text = Files.readString(Path.of("comparisons", "knowledge-small.json"));
        for (String setting :
                List.of("\"steps\": 2", "\"batch\": 4", "\"evaluationBatches\": 1", "\"importanceExamples\": 4")) {
            text = text.replaceFirst(setting.replaceFirst("\\d+$", "\\\\d+"), setting);
        }
        Path plan = Files.writeString(folder.resolve("plan.json"), text.replace("[1, 2]", "[1]"));
        Path lessons = folder.resolve("lessons");
        assertEquals(
                0,
                run(() -> Lessons.commandLine()
                                .execute("--corpus", "target/corpus", "--out", lessons.toString(), "--questions", "4"))
                        .code());
        Path out = folder.resolve("comparison");
        String[] more = {"--tasks", lessons.toString(), "--model", model.toString()};
        Ended ended = comparison(plan, out, more);
        assertEquals(0, ended.code(), ended.error());
        List<String> results = Files.readAllLines(out.resolve("results.csv"));
        assertEquals(1 + 1 + 10 + 1, results.size(), results.toString());
        List<String> asked = Files.readAllLines(out.resolve("tasks.csv"));
        assertEquals(1 + 9 * (results.size() - 1), asked.size(), "nine tasks of each model");
        String summary = Files.readString(out.resolve("summary.md"));
        assertTrue(summary.contains("Against plain + wise_ft, question by question"), summary);
        assertTrue(summary.contains("| problems, target | prose | wordings |"), summary);

        // A trial whose answers are missing is run again, and ends as before.
        Path answers = out.resolve("tasks").resolve("model_PROBLEMS_l2_sp_10.0_5.0E-4_1.csv");
        String before = Files.readString(answers);
        assertTrue(before.startsWith("point,task,role,value,marks"), before);
        Files.delete(answers);
        assertEquals(0, comparison(plan, out, more).code());
        assertEquals(before, Files.readString(answers));
        assertEquals(asked, Files.readAllLines(out.resolve("tasks.csv")));
        assertEquals(
                0,
                comparison(plan, out, "--sum-up", "--against", "retention dft()")
                        .code());
        assertTrue(Files.readString(out.resolve("summary.md")).contains("Against retention dft(), question"));

        // In two parts, summed up in between and at the end.
        Path parts = folder.resolve("parts");
        assertEquals(0, comparison(plan, parts, with(more, "--part", "1/2")).code());
        assertEquals(
                0,
                comparison(plan, parts, "--sum-up", "--against", "retention dft")
                        .code());
        String half = Files.readString(parts.resolve("summary.md"));
        assertTrue(
                half.contains("No differences from a row: expected one of [plain, plain + wise_ft, ")
                        && half.contains("], got retention dft."),
                half);
        assertTrue(half.contains("| plain + wise_ft | no |") && !half.contains("| replay | yes |"), half);
        assertEquals(0, comparison(plan, parts, with(more, "--part", "2/2")).code());
        assertEquals(asked, Files.readAllLines(parts.resolve("tasks.csv")));
        assertEquals(
                ofTasks(summary), ofTasks(Files.readString(parts.resolve("summary.md"))), "tables without any times");

        Ended none = comparison(plan, folder.resolve("other"));
        assertTrue(none.error().contains("--model: expected a model folder, as the plan has no models"), none.error());
        Path longer = Files.writeString(folder.resolve("longer.json"), text.replace("128", "129"));
        Ended refused = comparison(longer, folder.resolve("other"), more);
        assertTrue(refused.error().contains("window: expected at most 128 tokens"), refused.error());
    }

    private static String ofTasks(String summary) {
        String tables = summary.substring(summary.indexOf("A row a method, a column a task"));
        return tables.substring(0, tables.indexOf("A row a method, a column a domain"));
    }

    private static Ended comparison(Path plan, Path out, String... more) {
        String[] options = {"--plan", plan.toString(), "--out", out.toString(), "--corpus", "target/corpus"};
        return run(() -> Comparison.commandLine().execute(with(options, more)));
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void the_benchmark_of_generation_measures_everything() {
        Ended ended = run(() -> GenerationBenchmark.commandLine().execute("--small", "--tokens", "2"));
        assertEquals(0, ended.code(), ended.error());
        for (String row :
                List.of("BF16 ", "F32 ", "likeliest token ", "temperature 0.8 ", "without a cache, 2 tokens")) {
            assertTrue(ended.out().lines().anyMatch(line -> line.startsWith(row)), row + ended.out() + ended.error());
        }
        assertFalse(ended.out().contains("NaN"), ended.out());
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void the_benchmarks_of_size_and_of_checkpoints_measure_everything() {
        Ended size = run(() -> SizeBenchmark.commandLine()
                .execute(
                        "--size",
                        "SMALL",
                        "--steps",
                        "2",
                        "--accumulate",
                        "2",
                        "--recompute",
                        "--sequence-length",
                        "16"));
        assertEquals(0, size.code(), size.error());
        assertTrue(size.out().startsWith("estimate: "), size.out());
        assertTrue(size.out().contains("sums of gradients"), size.out());
        assertTrue(size.out().contains("peak "), size.out());
        Ended adapters = run(() -> SizeBenchmark.commandLine()
                .execute("--size", "SMALL", "--steps", "2", "--every", "1", "--lora", "2", "--sequence-length", "16"));
        assertEquals(0, adapters.code(), adapters.error());
        assertTrue(adapters.out().contains("weights in half precision"), adapters.out());
        assertTrue(adapters.out().contains("step 2: "), adapters.out());
        Ended checkpoint = run(() -> CheckpointBenchmark.commandLine()
                .execute("--parameters", "100000", "--turns", "2", "--folder", folder.toString()));
        assertEquals(0, checkpoint.code(), checkpoint.error());
        for (String row : List.of("plain copy ", "checkpoint written ", "plain reading ", "checkpoint read ")) {
            assertTrue(checkpoint.out().lines().anyMatch(line -> line.startsWith(row)), row + checkpoint.out());
        }
    }

    /** In less memory: the same sequences in the same steps, a teacher that is rounded to 11 bits. */
    @Test
    void small_minibatches_accumulate_to_large_ones() throws IOException {
        Path large = folder.resolve("large");
        Path little = folder.resolve("little");
        assertEquals(0, finetune("--out", large.toString()).code());
        List<String> args = args("--out", little.toString(), "--batch", "1", "--accumulate", "2");
        args.addAll(List.of("--recompute", "--half-teacher"));
        Ended ended = run(() -> Finetune.commandLine().execute(args.toArray(String[]::new)));
        assertEquals(0, ended.code(), ended.error());
        assertTrue(ended.out().contains("memory, an estimate: "), ended.out());
        List<String> expected = tuned(large);
        List<String> found = tuned(little);
        for (int column = 7; column < 13; column++) {
            assertEquals(
                    Double.parseDouble(expected.get(column)), Double.parseDouble(found.get(column)), 2e-3, column + "");
        }
        assertNotEquals(0, Double.parseDouble(found.get(9)), 1e-2);
    }

    private static List<String> tuned(Path out) throws IOException {
        String row = Files.readAllLines(out.resolve("results.csv")).get(2);
        return List.of(row.split(",", -1));
    }

    @Test
    void the_benchmark_of_generation_fails_where_loading_does() {
        String message = assertThrows(
                        IOException.class, () -> GenerationBenchmark.ofNewProcess(folder.resolve("missing")))
                .getMessage();
        assertTrue(message.contains("missing"), message);
    }

    @Test
    void texts_that_are_not_utf8_are_refused() throws IOException {
        Files.write(source, new byte[] {(byte) 0xC3, 'a', 'b'});
        assertLine("--source", run(() -> Quickstart.commandLine()
                .execute(ofTexts("quick").toArray(String[]::new))));
    }
}
