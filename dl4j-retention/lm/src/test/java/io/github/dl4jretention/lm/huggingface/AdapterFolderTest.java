package io.github.dl4jretention.lm.huggingface;

import static io.github.dl4jretention.lm.huggingface.ReferenceModels.assertRelative;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.LowRankAdapters;
import io.github.dl4jretention.loss.RetentionConfiguration;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Adapters in PEFT's layout against PyTorch, which {@code adapters/make_adapters.py} asked. */
class AdapterFolderTest {

    private static final int BATCH = 2;
    private static final Map<String, String> MODELS =
            Map.of("llama", "llama", "tied", "llama-tied-f16", "qwen3", "qwen3", "gpt2", "gpt2", "neox", "neox");

    @TempDir
    Path temporary;

    static Stream<Arguments> casesAndTypes() {
        return MODELS.keySet().stream()
                .sorted()
                .flatMap(name -> Stream.of(Arguments.of(name, DataType.FLOAT), Arguments.of(name, DataType.DOUBLE)));
    }

    private static Path folder(String name) {
        try {
            return Path.of(
                    AdapterFolderTest.class.getResource("/adapters/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static LanguageModel model(String name, DataType type) throws IOException {
        return LanguageModel.load(ReferenceModels.folder(MODELS.get(name)), type);
    }

    private static Map<String, double[]> tensors(Path file) throws IOException {
        Map<String, double[]> numbers = new LinkedHashMap<>();
        try (SafetensorsFile tensors = SafetensorsFile.open(file)) {
            for (Tensor tensor : tensors.tensors()) {
                if (tensor.type() == TensorType.I64) {
                    ByteBuffer bytes = tensors.map(tensor, 0, (int) tensor.bytes());
                    double[] values = new double[(int) tensor.bytes() / Long.BYTES];
                    for (int i = 0; i < values.length; i++) {
                        values[i] = bytes.getLong();
                    }
                    numbers.put(tensor.name(), values);
                } else {
                    numbers.put(tensor.name(), AdapterTensors.read(tensors, tensor, file));
                }
            }
        }
        return numbers;
    }

    private static INDArray ids(double[] ids, DataType type) {
        return Nd4j.createFromArray(ids).reshape(BATCH, 1, ids.length / BATCH).castTo(type);
    }

    private static INDArray oneHot(double[] labels, int vocabulary, DataType type) {
        int time = labels.length / BATCH;
        INDArray oneHot = Nd4j.zeros(type, BATCH, vocabulary, time);
        for (int i = 0; i < labels.length; i++) {
            oneHot.putScalar(new int[] {i / time, (int) labels[i], i % time}, 1);
        }
        return oneHot;
    }

    private static double[] softmax(double[] logits, int vocabulary) {
        double[] result = logits.clone();
        for (int at = 0; at < logits.length; at += vocabulary) {
            double sum = 0;
            for (int i = 0; i < vocabulary; i++) {
                sum += Math.exp(logits[at + i]);
            }
            for (int i = 0; i < vocabulary; i++) {
                result[at + i] = Math.exp(result[at + i]) / sum;
            }
        }
        return result;
    }

    private static double[] flat(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').data().asDouble();
    }

    @ParameterizedTest
    @MethodSource("casesAndTypes")
    void gives_the_outputs_and_gradients_of_pytorch(String name, DataType type) throws IOException {
        double tolerance = type == DataType.DOUBLE ? 1e-9 : 1e-4;
        LanguageModel model = model(name, type);
        INDArray before = model.network().params().dup();
        MultiLayerNetwork adapted = model.loadAdapters(folder(name));
        Map<String, double[]> reference = tensors(folder(name).resolve("reference.safetensors"));
        INDArray features = ids(reference.get("ids"), type);
        double[] expected = softmax(reference.get("logits"), model.vocabulary());
        assertRelative("output", expected, flat(adapted.output(features).permute(0, 2, 1)), tolerance);

        for (boolean student : new boolean[] {false, true}) {
            MultiLayerNetwork trained = student
                    ? Retention.attach(
                            adapted,
                            RetentionConfiguration.builder().coefficient(1).build())
                    : adapted;
            trained.setInput(features);
            trained.setLabels(oneHot(reference.get("labels"), model.vocabulary(), type));
            trained.computeGradientAndScore();
            Map<String, double[]> found = gradients(trained, ReferenceModels.folder(MODELS.get(name)), type);
            long adapters = 0;
            for (Map.Entry<String, double[]> gradient : reference.entrySet()) {
                if (gradient.getKey().startsWith("base_model")) {
                    adapters += gradient.getValue().length;
                    assertRelative(gradient.getKey(), gradient.getValue(), found.get(gradient.getKey()), tolerance);
                }
            }
            boolean fused = name.equals("gpt2") || name.equals("neox");
            assertTrue(fused ? trained.numParams() > adapters : trained.numParams() == adapters);
            assertEquals(trained.numParams(), trained.getGradientsViewArray().length());
        }
        assertEquals(before, model.network().params());
    }

    /** Gradients under PEFT's names; A of a module that is several weights has the sum of theirs. */
    private static Map<String, double[]> gradients(MultiLayerNetwork network, Path path, DataType type)
            throws IOException {
        Map<String, double[]> found = new LinkedHashMap<>();
        for (AdapterLayout layout :
                AdapterLayout.of(ModelFolder.load(path, type).folder())) {
            double[] ofA = null;
            double[] ofB = null;
            for (AdapterLayout.Part part : layout.parts()) {
                String[] key = part.key().split("\\.");
                var table = network.gradient().gradientForVariable();
                INDArray down = table.get(key[0] + "_" + key[1] + "Down");
                if (down == null) {
                    continue;
                }
                double[] a = flat(down.transpose());
                double[] b = flat(table.get(key[0] + "_" + key[1] + "Up").transpose());
                int rank = (int) down.size(1);
                if (ofA == null) {
                    ofA = new double[a.length];
                    ofB = new double[(int) layout.nOut() * rank];
                }
                if (part.from() == 0) {
                    for (int i = 0; i < a.length; i++) {
                        ofA[i] += a[i];
                    }
                }
                int row = 0;
                for (AdapterLayout.Part other : layout.parts()) {
                    if (other.equals(part)) {
                        System.arraycopy(b, (int) part.from() * rank, ofB, row * rank, (int) part.rows() * rank);
                    }
                    row += (int) other.rows();
                }
            }
            if (ofA != null) {
                found.put("base_model.model." + layout.module() + ".lora_A.weight", ofA);
                found.put("base_model.model." + layout.module() + ".lora_B.weight", ofB);
            }
        }
        return found;
    }

    /** Loaded, trained, saved, read by a script of PyTorch's. */
    @ParameterizedTest
    @CsvSource({"llama", "gpt2", "neox", "tied"})
    void pytorch_applies_what_was_saved(String name) throws IOException, InterruptedException {
        LanguageModel model = model(name, DataType.FLOAT);
        MultiLayerNetwork adapted = name.equals("tied")
                ? LowRankAdapters.attach(
                        model.network(), LowRankAdapters.rank(2).alpha(3).layers("q", "output"))
                : LowRankAdapters.attach(
                        model.network(),
                        LowRankAdapters.rank(2).alpha(3).rankStabilized(true).layers("q", "v", "feedforward"));
        Nd4j.getRandom().setSeed(3);
        adapted.params().addi(Nd4j.randn(adapted.params().shape()).muli(0.3));
        Path saved = temporary.resolve("saved");
        model.saveAdapters(adapted, saved);
        INDArray ids = Nd4j.createFromArray(new double[][] {{1, 5, 2, 7, 3}}).reshape(1, 1, 5);
        double[] ours = flat(adapted.output(ids.castTo(DataType.FLOAT)).permute(0, 2, 1));

        Process process = new ProcessBuilder(
                        python(),
                        folder("make_adapters.py").toString(),
                        "logits",
                        ReferenceModels.folder(MODELS.get(name)).toString(),
                        saved.toString(),
                        "1,5,2,7,3")
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor());
        double[] theirs = Stream.of(output.replaceAll("[\\[\\]\\s]", "").split(","))
                .mapToDouble(Double::parseDouble)
                .toArray();
        assertRelative("output", softmax(theirs, model.vocabulary()), ours, 1e-4);

        MultiLayerNetwork again = model(name, DataType.FLOAT).loadAdapters(saved);
        assertRelative(
                "again", ours, flat(again.output(ids.castTo(DataType.FLOAT)).permute(0, 2, 1)), 1e-5);
        if (!name.equals("tied")) {
            MultiLayerNetwork merged = LowRankAdapters.merge(adapted);
            assertRelative(
                    "merged",
                    ours,
                    flat(merged.output(ids.castTo(DataType.FLOAT)).permute(0, 2, 1)),
                    1e-4);
        }
    }

    private static String python() throws IOException {
        for (String candidate : List.of("/usr/bin/python3", "python3")) {
            try {
                Process process = new ProcessBuilder(candidate, "-c", "import torch")
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
                if (process.waitFor() == 0) {
                    return candidate;
                }
            } catch (IOException | InterruptedException e) {
                continue;
            }
        }
        org.junit.jupiter.api.Assumptions.abort("needs a Python with PyTorch");
        throw new IllegalStateException();
    }

    private Path changed(String from, String to) throws IOException {
        Path copy = Files.createTempDirectory(temporary, "copy");
        for (String file : List.of(AdapterFolder.CONFIG, AdapterFolder.WEIGHTS)) {
            Files.copy(folder("llama").resolve(file), copy.resolve(file));
        }
        Path config = copy.resolve(AdapterFolder.CONFIG);
        String text = Files.readString(config);
        assertTrue(text.contains(from), from);
        Files.writeString(config, text.replace(from, to));
        return copy;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"use_dora\": false | \"use_dora\": true | use_dora",
                "\"bias\": \"none\" | \"bias\": \"all\" | bias",
                "\"modules_to_save\": null | \"modules_to_save\": [\"lm_head\"] | modules_to_save",
                "\"layer_replication\": null | \"layer_replication\": [[0, 1]] | layer_replication",
                "\"init_lora_weights\": true | \"init_lora_weights\": \"pissa\" | init_lora_weights",
                "\"peft_type\": \"LORA\" | \"peft_type\": \"IA3\" | peft_type",
                "\"r\": 3 | \"r\": 4 | lora_A.weight",
                "\"r\": 3 | \"r\": \"x\" | \"r\"",
                "\"k_proj\": 7 | \"k_(proj\": 7 | alpha_pattern",
            })
    void what_it_does_not_compute_is_refused_by_name(String from, String to, String named) throws IOException {
        LanguageModel model = model("llama", DataType.FLOAT);
        Path folder = changed(from, to);
        String message = assertThrows(IOException.class, () -> model.loadAdapters(folder))
                .getMessage();
        assertTrue(message.contains(named) && message.lines().count() == 1, message);
    }

    /** A limit on the size of files stands in for a full disk: writing fails in the middle. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void a_disk_that_is_full_is_told_and_nothing_is_left() throws IOException, InterruptedException {
        Path saved = temporary.resolve("saved");
        Process process = new ProcessBuilder(
                        "bash",
                        "-c",
                        "ulimit -f 8; exec \"$@\"",
                        "bash",
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:-UsePerfData",
                        "-cp",
                        System.getProperty("java.class.path"),
                        FullDisk.class.getName(),
                        ReferenceModels.folder("llama").toString(),
                        saved.toString())
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        process.waitFor();
        assertTrue(printed.contains("refused: file " + temporary.toAbsolutePath()), printed);
        assertTrue(printed.contains(AdapterFolder.WEIGHTS + ": expected room for "), printed);
        try (Stream<Path> files = Files.list(temporary)) {
            assertEquals(List.of(), files.toList());
        }
    }

    /** Saves adapters of some hundred kilobytes. */
    public static final class FullDisk {

        private FullDisk() {}

        /** @param args the model's folder and the adapters' */
        public static void main(String[] args) {
            try {
                LanguageModel model = LanguageModel.load(Path.of(args[0]));
                model.saveAdapters(LowRankAdapters.attach(model.network(), LowRankAdapters.rank(64)), Path.of(args[1]));
            } catch (IOException e) {
                System.out.println("refused: " + e.getMessage());
            }
        }
    }

    /** 4 MB each, of the same numbers; what would be written is counted. */
    @Test
    void adapters_may_take_more_than_2_gigabytes() throws IOException {
        double[] numbers = new double[1 << 20];
        numbers[numbers.length - 1] = 7;
        AdapterTensors tensors = new AdapterTensors(TensorType.F32);
        int count = 520;
        for (int i = 0; i < count; i++) {
            tensors.add("t" + i, 1 << 10, 1 << 10, numbers);
        }
        long[] written = {0};
        List<ByteBuffer> first = new ArrayList<>();
        ByteBuffer[] last = new ByteBuffer[1];
        tensors.writeTo(Map.of(), bytes -> {
            if (first.size() < 2) {
                first.add(bytes.duplicate().order(bytes.order()));
            }
            written[0] += bytes.remaining();
            last[0] = bytes;
        });
        byte[] header = first.get(1).array();
        assertEquals(header.length, first.get(0).getLong(0));
        assertEquals(8 + header.length + count * 4L * numbers.length, written[0]);
        assertTrue(written[0] > 1L << 31);
        var offsets = JsonFile.MAPPER.readTree(header).path("t" + (count - 1)).path("data_offsets");
        assertEquals((count - 1) * 4L * numbers.length, offsets.get(0).asLong());
        assertEquals(count * 4L * numbers.length, offsets.get(1).asLong());
        assertEquals(7, last[0].getFloat(last[0].limit() - 4));
    }

    /** As PEFT calls what it saves beside the adapters of linear modules. */
    @ParameterizedTest
    @CsvSource({
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.model.embed_tokens.base_layer.weight",
        "base_model.model.lm_head.modules_to_save.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias",
    })
    void tensors_that_mean_something_else_are_refused_by_name(String tensor) throws IOException {
        LanguageModel model = model("llama", DataType.FLOAT);
        Path folder = changed("\"r\": 3", "\"r\": 3");
        AdapterTensors tensors = new AdapterTensors(TensorType.F32);
        tensors.add(tensor, 1, 1, new double[] {1});
        Path written = temporary.resolve("written");
        tensors.write(written, AdapterFolder.WEIGHTS, Map.of(), Map.of());
        Files.copy(
                written.resolve(AdapterFolder.WEIGHTS),
                folder.resolve(AdapterFolder.WEIGHTS),
                StandardCopyOption.REPLACE_EXISTING);
        String message = assertThrows(IOException.class, () -> model.loadAdapters(folder))
                .getMessage();
        assertTrue(message.contains("\"" + tensor + "\""), message);
    }

    @Test
    void an_adapter_of_another_base_is_refused_by_its_sha256() throws IOException {
        LanguageModel model = model("llama", DataType.FLOAT);
        MultiLayerNetwork adapted = LowRankAdapters.attach(model.network(), LowRankAdapters.rank(1));
        Path saved = temporary.resolve("saved");
        model.saveAdapters(adapted, saved);
        LanguageModel other = model("llama", DataType.FLOAT);
        other.loadAdapters(saved);
        other.network().params().putScalar(3, 0.5);
        String message =
                assertThrows(IOException.class, () -> other.loadAdapters(saved)).getMessage();
        assertTrue(message.contains("SHA-256"), message);
        assertThrows(IOException.class, () -> model("qwen3", DataType.FLOAT).loadAdapters(saved));
        assertThrows(IOException.class, () -> model.saveAdapters(adapted, saved));
        assertThrows(IOException.class, () -> model.loadAdapters(temporary.resolve("none")));
        List<Path> left = new ArrayList<>();
        try (Stream<Path> files = Files.list(temporary)) {
            files.forEach(left::add);
        }
        assertEquals(List.of(saved), left);
        assertFalse(Files.exists(temporary.resolve("none")));
    }
}
