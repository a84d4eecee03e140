package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.dl4jretention.lm.generation.TokenChoice;
import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

class GeneratorTest {

    @TempDir
    Path temporary;

    private int copies;

    static Stream<String> models() {
        return ReferenceModels.names().stream();
    }

    /** Without the end of text, so that texts have the length that is asked for. */
    private LanguageModel model(String name) throws IOException {
        Path folder = SmallModels.folder(name, temporary.resolve("copy" + copies++));
        Path settings = folder.resolve("tokenizer_config.json");
        Files.writeString(settings, Files.readString(settings).replace("\"eos_token\"", "\"no_token\""));
        return LanguageModel.load(folder);
    }

    /** The same model without a cache: the whole text again for each token. */
    private static List<Integer> greedy(LanguageModel model, String prompt, int count) throws IOException {
        List<Integer> ids = new ArrayList<>();
        for (int id : model.tokenizer().encode(prompt)) {
            ids.add(id);
        }
        int start = ids.size();
        for (int i = 0; i < count; i++) {
            INDArray input = Nd4j.createFromArray(new double[][] {
                ids.stream().mapToDouble(Integer::doubleValue).toArray()
            });
            INDArray last = model.network()
                    .output(input)
                    .get(NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.point(ids.size() - 1));
            ids.add(last.argMax().getInt(0));
        }
        return ids.subList(start, ids.size());
    }

    private static List<Integer> written(Generator generator, String prompt) {
        List<Integer> ids = new ArrayList<>();
        StringBuilder told = new StringBuilder();
        String text = generator
                .onToken((number, id, piece) -> {
                    if (id >= 0) {
                        ids.add(id);
                    }
                    told.append(piece);
                })
                .generate(prompt);
        assertEquals(text, told.toString());
        return ids;
    }

    @ParameterizedTest
    @MethodSource("models")
    void greedy_text_is_the_likeliest_token_each_time(String name) throws IOException {
        LanguageModel model = model(name);
        List<Integer> expected = greedy(model, "ab ab c", 9);
        assertEquals(expected, written(Generator.of(model).temperature(0).maxTokens(9), "ab ab c"));
        assertEquals(expected, written(Generator.of(model).topK(1).maxTokens(9), "ab ab c"), "the same in any state");
    }

    @ParameterizedTest
    @MethodSource("models")
    void prompts_of_different_lengths_get_what_they_get_alone(String name) throws IOException {
        LanguageModel model = model(name);
        List<String> prompts = List.of("ab", "c", "ab ab d e", "");
        Generator generator = Generator.of(model).maxTokens(6).seed(5);
        List<String> together = generator.generate(prompts);
        for (int i = 0; i < prompts.size(); i++) {
            assertEquals(generator.seed(5 + i).generate(prompts.get(i)), together.get(i), prompts.get(i));
        }
        Set<String> texts = new TreeSet<>();
        for (int seed = 0; seed < 10; seed++) {
            texts.add(generator.seed(seed).generate("ab"));
        }
        assertTrue(texts.size() > 1, "seeds matter");
    }

    @ParameterizedTest
    @MethodSource("models")
    void what_prompts_begin_with_is_read_once_and_changes_nothing(String name) throws IOException {
        LanguageModel model = model(name);
        List<String> prompts = List.of("ab ab d e c", "ab ab d", "ab ab d e c", "ab ab d c");
        Generator generator = Generator.of(model).maxTokens(6).seed(5);
        List<String> together = generator.generate(prompts);
        List<int[]> ids = new ArrayList<>();
        for (int i = 0; i < prompts.size(); i++) {
            assertEquals(generator.seed(5 + i).generate(prompts.get(i)), together.get(i), prompts.get(i));
            ids.add(model.tokenizer().encode(prompts.get(i)));
        }
        assertEquals(together, generator.generateAfter(ids));
        int[] begin = Arrays.copyOf(ids.get(1), 4);
        try (PromptHead head = generator.read(begin);
                PromptHead nothing = generator.read(new int[0])) {
            assertEquals(together, generator.generateAfter(head, ids));
            assertEquals(together, generator.generateAfter(nothing, ids));
            assertEquals(
                    together.subList(0, 1),
                    generator.generateAfter(head, ids.subList(0, 1)),
                    "the same head serves again");
            assertEquals(
                    "prompt 1: expected the head's 4 tokens and at least one more, got no more",
                    assertThrows(
                                    IllegalArgumentException.class,
                                    () -> generator.generateAfter(head, List.of(ids.get(0), begin)))
                            .getMessage());
            assertEquals(
                    "prompt 0: expected the head's 4 tokens and at least one more, got another one at 0",
                    assertThrows(
                                    IllegalArgumentException.class,
                                    () -> generator.generateAfter(head, List.of(new int[] {1, 2, 3, 4, 5})))
                            .getMessage());
        }
    }

    /** As ComputationGraphs do, which keep nothing between two calls. */
    @Test
    void models_without_a_state_write_the_same() throws IOException {
        LanguageModel model = model("llama");
        Generator.NextLogits whole = sequences -> {
            INDArray output = model.network().output(Nd4j.createFromArray(sequences));
            float[][] next = new float[sequences.length][];
            for (int i = 0; i < next.length; i++) {
                next[i] = Transforms.log(output.get(
                                NDArrayIndex.point(i), NDArrayIndex.all(), NDArrayIndex.point(sequences[i].length - 1)))
                        .toFloatVector();
            }
            return next;
        };
        List<String> prompts = List.of("ab ab d e", "ab ab c", "d");
        assertEquals(
                Generator.of(model).maxTokens(7).generate(prompts),
                Generator.of(whole, model.tokenizer(), model.contextLength())
                        .maxTokens(7)
                        .generate(prompts));
        Generator generator =
                Generator.of(whole, model.tokenizer(), model.contextLength()).maxTokens(7);
        List<int[]> ids =
                prompts.subList(0, 2).stream().map(model.tokenizer()::encode).toList();
        try (PromptHead head = generator.read(Arrays.copyOf(ids.get(0), 3))) {
            assertEquals(generator.generate(prompts.subList(0, 2)), generator.generateAfter(head, ids));
            assertEquals(generator.generate(prompts.subList(0, 2)), generator.generateAfter(head, ids));
        }
        assertThrows(IllegalArgumentException.class, () -> Generator.of(whole, model.tokenizer(), 0));
    }

    /** Longer than what is computed at once. */
    @Test
    void long_prompts_are_read_in_parts() throws IOException {
        LanguageModel model = model("llama");
        Path config = temporary.resolve("copy0/config.json");
        Files.writeString(
                config,
                Files.readString(config)
                        .replace("\"max_position_embeddings\": 32", "\"max_position_embeddings\": 320"));
        LanguageModel wide = LanguageModel.load(temporary.resolve("copy0"));
        String prompt = "ab cd ef".repeat(20);
        assertEquals(
                greedy(wide, prompt, 4),
                written(Generator.of(wide).temperature(0).maxTokens(4), prompt));
        String message = assertThrows(IllegalArgumentException.class, () -> Generator.of(model)
                        .generate(prompt))
                .getMessage();
        assertTrue(message.contains("1 to 32 tokens"), message);
        assertEquals(
                32 - 2,
                written(Generator.of(model).temperature(0).maxTokens(1000), "a").size(),
                "ends at the context");
    }

    @Test
    void ends_before_stop_strings_and_at_the_end_of_text() throws IOException {
        LanguageModel model = model("llama");
        String whole = Generator.of(model).seed(4).maxTokens(20).generate("ab");
        assertTrue(whole.length() >= 12, whole);
        String stop = whole.substring(6, 9);
        StringBuilder told = new StringBuilder();
        String text = Generator.of(model)
                .seed(4)
                .maxTokens(20)
                .stop("never", stop)
                .onToken((number, id, piece) -> told.append(piece))
                .generate("ab");
        assertEquals(whole.substring(0, whole.indexOf(stop)), text);
        assertEquals(text, told.toString());
        LanguageModel ending = LanguageModel.load(SmallModels.folder("llama", temporary.resolve("ending")));
        Set<String> lengths = new TreeSet<>();
        for (int seed = 0; seed < 30; seed++) {
            String cut = Generator.of(ending).seed(seed).maxTokens(20).generate("ab");
            String full = Generator.of(model).seed(seed).maxTokens(20).generate("ab");
            String characters = cut.replaceAll("\uFFFD+$", "");
            assertTrue(full.startsWith(characters), cut + " | " + full);
            lengths.add(String.valueOf(cut.length() < full.length()));
        }
        assertEquals(Set.of("false", "true"), lengths, "some end early");
    }

    @Test
    void chooses_by_the_formulas() {
        double[] p = {0.1, 0.5, 0.05, 0.35};
        assertEquals(1, TokenChoice.PLAIN.temperature(0).choose(logits(0, p), Set.of(), new Random(1)));
        assertFrequencies(TokenChoice.PLAIN, p, 0.1, 0.5, 0.05, 0.35);
        assertFrequencies(TokenChoice.PLAIN.topK(2), p, 0, 0.5 / 0.85, 0, 0.35 / 0.85);
        assertFrequencies(TokenChoice.PLAIN.topP(0.49), p, 0, 1, 0, 0);
        assertFrequencies(TokenChoice.PLAIN.topP(0.86), p, 0.1 / 0.95, 0.5 / 0.95, 0, 0.35 / 0.95);
        double sum = 0.01 + 0.25 + 0.0025 + 0.1225;
        assertFrequencies(TokenChoice.PLAIN.temperature(0.5), p, 0.01 / sum, 0.25 / sum, 0.0025 / sum, 0.1225 / sum);
        double rest = 0.01 + 0.25 + 0.1225;
        assertFrequencies(TokenChoice.PLAIN.temperature(0.5).topK(3), p, 0.01 / rest, 0.25 / rest, 0, 0.1225 / rest);
        // 0.25 of 0.385 is 0.65, 0.3725 of it 0.97.
        assertFrequencies(TokenChoice.PLAIN.temperature(0.5).topP(0.9), p, 0, 0.25 / 0.3725, 0, 0.1225 / 0.3725);
        // A token that's ruled out is never drawn.
        assertFrequencies(TokenChoice.PLAIN, new float[] {0, Float.NEGATIVE_INFINITY, 0}, 0.5, 0, 0.5);
    }

    /** Of a model that has diverged. */
    @Test
    void logits_that_are_no_distribution_are_refused() {
        float none = Float.NEGATIVE_INFINITY;
        for (float[] logits : new float[][] {{1, Float.NaN}, {1, Float.POSITIVE_INFINITY}, {none, none}}) {
            for (double temperature : new double[] {0, 1}) {
                String message = assertThrows(IllegalArgumentException.class, () -> TokenChoice.PLAIN
                                .temperature(temperature)
                                .choose(logits, Set.of(), new Random(1)))
                        .getMessage();
                assertTrue(message.startsWith("network: expected "), message);
            }
        }
    }

    /** Of the same distribution with logits above 0 and below: token 1's logit is halved or doubled. */
    @Test
    void the_penalty_is_that_of_the_transformers_library() {
        double[] p = {0.1, 0.5, 0.05, 0.35};
        TokenChoice penalised = TokenChoice.PLAIN.repetitionPenalty(2);
        for (double normaliser : new double[] {0, 3}) {
            double logit = Math.log(0.5) + normaliser;
            double weight = Math.exp((logit > 0 ? logit / 2 : logit * 2) - normaliser);
            float[] logits = logits(normaliser, p);
            assertEquals(3, penalised.temperature(0).choose(logits, Set.of(1), new Random(1)));
            double sum = 0.5 + weight;
            assertFrequencies(penalised, logits, 0.1 / sum, weight / sum, 0.05 / sum, 0.35 / sum);
        }
    }

    /** @param normaliser the logarithm of the sum of the logits' exponentials */
    private static float[] logits(double normaliser, double... p) {
        float[] logits = new float[p.length];
        for (int i = 0; i < p.length; i++) {
            logits[i] = (float) (Math.log(p[i]) + normaliser);
        }
        return logits;
    }

    private static void assertFrequencies(TokenChoice choice, double[] p, double... expected) {
        assertFrequencies(choice, logits(0, p), expected);
    }

    private static void assertFrequencies(TokenChoice choice, float[] logits, double... expected) {
        int draws = 100_000;
        int[] counts = new int[logits.length];
        Random random = new Random(7);
        for (int i = 0; i < draws; i++) {
            counts[choice.choose(logits, Set.of(1), random)]++;
        }
        for (int i = 0; i < logits.length; i++) {
            double deviation = Math.sqrt(expected[i] * (1 - expected[i]) / draws);
            assertEquals(expected[i], counts[i] / (double) draws, 5 * deviation, choice + " token " + i);
        }
    }

    /** Of the reference's first sequence, in FLOAT by OpenBLAS and in DOUBLE by ND4J. */
    @ParameterizedTest
    @MethodSource("models")
    void steps_give_the_logits_of_pytorch(String name) throws IOException {
        Map<String, double[]> reference = ReferenceModels.reference(name);
        int time = reference.get("ids").length / 2;
        for (DataType type : List.of(DataType.FLOAT, DataType.DOUBLE)) {
            LanguageModel model = LanguageModel.load(ReferenceModels.folder(name), type);
            NetworkSteps steps = new NetworkSteps(model.network());
            for (int t = 0; t < time; t++) {
                float[] logits = steps.next(new int[][] {{(int) reference.get("ids")[t]}})[0];
                for (int i = 0; i < logits.length; i++) {
                    double expected = reference.get("logits")[t * logits.length + i];
                    assertEquals(expected, logits[i], 1e-4 * Math.max(1, Math.abs(expected)), t + " " + i);
                }
            }
        }
    }

    /** Generators of neighbouring seeds must not begin alike. */
    @Test
    void samples_of_one_prompt_begin_differently() throws IOException {
        LanguageModel model = model("llama");
        Set<Integer> first = new TreeSet<>();
        Generator.of(model)
                .maxTokens(1)
                .temperature(100)
                .onToken((number, id, piece) -> first.add(id))
                .generate(Collections.nCopies(64, "ab"));
        assertTrue(first.size() > 10, first::toString);
    }

    /** Half precision holds whole numbers up to 2048 only. */
    @Test
    void networks_in_half_precision_read_any_token() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .dataType(DataType.FLOAT16)
                .list()
                .layer(TokenEmbedding.builder().vocabulary(3000).width(8).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(3000)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(3000))
                .build());
        network.init();
        assertEquals(3000, new NetworkSteps(network).next(new int[][] {{2999}})[0].length);
    }

    @Test
    void refuses_settings_that_make_no_sense() throws IOException {
        Generator generator = Generator.of(model("llama"));
        assertThrows(IllegalArgumentException.class, () -> generator.temperature(-1));
        assertThrows(IllegalArgumentException.class, () -> generator.temperature(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> generator.topK(0));
        assertThrows(IllegalArgumentException.class, () -> generator.topP(0));
        assertThrows(IllegalArgumentException.class, () -> generator.topP(1.5));
        assertThrows(IllegalArgumentException.class, () -> generator.repetitionPenalty(0.5));
        assertThrows(IllegalArgumentException.class, () -> generator.maxTokens(-1));
        assertThrows(IllegalArgumentException.class, () -> generator.stop(""));
        assertThrows(IllegalArgumentException.class, () -> generator.generate(List.of()));
        assertEquals("", generator.maxTokens(0).generate("ab"));
    }

    @Test
    void lstms_of_one_hot_bytes_write_too() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(5)
                .list()
                .layer(new LSTM.Builder().nOut(8).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(256)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(256))
                .build());
        network.init();
        network.params().muli(20);
        Generator generator =
                Generator.of(network, Tokenizer.bytes()).temperature(0).maxTokens(5);
        List<Integer> ids = written(generator, "ab");
        INDArray input = Nd4j.zeros(1, 256, 6);
        int[] all = {'a', 'b', ids.get(0), ids.get(1), ids.get(2), ids.get(3)};
        for (int t = 0; t < 6; t++) {
            input.putScalar(new int[] {0, all[t], t}, 1);
        }
        INDArray output = network.output(input);
        for (int i = 0; i < 5; i++) {
            INDArray p = output.get(NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.point(i + 1));
            assertEquals(p.argMax().getInt(0), ids.get(i));
        }
        String message = assertThrows(IllegalArgumentException.class, () -> generator.generate(""))
                .getMessage();
        assertTrue(message.contains("got 0"), message);
    }

    /** Decoding all tokens at once is the reference; with ids of bytes, characters come in parts. */
    @ParameterizedTest
    @MethodSource("models")
    void text_is_what_all_tokens_decode_to(String name) throws IOException {
        LanguageModel model = model(name);
        for (String prompt : List.of("ab ab c", "a\u00e4", "")) {
            for (int seed = 0; seed < 5; seed++) {
                List<Integer> ids = new ArrayList<>();
                String text = Generator.of(model)
                        .temperature(2)
                        .seed(seed)
                        .maxTokens(20)
                        .onToken((number, id, piece) -> ids.add(id))
                        .generate(prompt);
                List<Integer> all = new ArrayList<>();
                int[] encoded = model.tokenizer().encode(prompt);
                for (int id : encoded) {
                    all.add(id);
                }
                all.addAll(ids);
                String whole = model.tokenizer()
                        .decode(all.stream().mapToInt(Integer::intValue).toArray());
                String before = model.tokenizer().decode(encoded);
                assertEquals(whole.substring(Math.min(before.length(), whole.length())), text);
            }
        }
    }

    @Test
    void answers_conversations() throws IOException {
        LanguageModel model = model("llama");
        String prompt = model.tokenizer().chat(List.of(new ChatMessage("user", "ab")), true);
        Generator generator = Generator.of(model).temperature(0).maxTokens(4);
        int[] ids = model.tokenizer().encode(prompt, false);
        assertEquals(16, ids[0]);
        assertTrue(generator.chat(List.of(new ChatMessage("user", "ab"))).length() > 0);
    }

    /** {@code -Dstories260k=FOLDER}: see LanguageModelTest. */
    @Test
    void a_trained_model_tells_its_story() throws IOException {
        String property = System.getProperty("stories260k");
        assumeTrue(property != null, "-Dstories260k");
        ObjectMapper mapper = new ObjectMapper();
        JsonNode expected = mapper.readTree(Path.of(property, "expected.json").toFile());
        int[] ids = mapper.convertValue(expected.get("greedy_from_bos"), int[].class);
        LanguageModel model = LanguageModel.load(Path.of(property));
        List<Integer> got = written(Generator.of(model).temperature(0).maxTokens(ids.length - 1), "");
        for (int i = 1; i < ids.length; i++) {
            assertEquals(ids[i], got.get(i - 1));
        }
        String text =
                expected.get("greedy_text").asText().replace("<0x0A>", "\n").strip();
        assertEquals(
                text,
                Generator.of(model).temperature(0).maxTokens(ids.length - 1).generate(""));
    }
}
