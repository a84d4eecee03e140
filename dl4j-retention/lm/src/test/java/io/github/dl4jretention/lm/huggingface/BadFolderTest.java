package io.github.dl4jretention.lm.huggingface;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** Folders that don't fit are refused in one line that says why. */
class BadFolderTest {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    @TempDir
    Path temporary;

    private static String refused(Path folder) {
        String message = assertThrows(IOException.class, () -> ModelFolder.load(folder, DataType.FLOAT))
                .getMessage();
        assertEquals(1, message.lines().count(), message);
        return message;
    }

    private Path copy(String model) throws IOException {
        return ReferenceModels.copy(model, temporary.resolve(model));
    }

    private Path configured(String model, String key, String json) throws IOException {
        Path folder = copy(model);
        Path file = folder.resolve("config.json");
        ObjectNode config = (ObjectNode) MAPPER.readTree(file.toFile());
        JsonNode value = MAPPER.readTree(json);
        config.set(key, value);
        Files.write(file, MAPPER.writeValueAsBytes(config));
        return folder;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "llama | quantization_config | {\"bits\":4}",
                "llama | num_local_experts | 8",
                "llama | rope_scaling | {\"rope_type\":\"yarn\",\"factor\":4.0}",
                "llama | rope_scaling | {\"rope_type\":\"dynamic\",\"factor\":4.0}",
                "llama | rope_scaling | {\"rope_type\":\"longrope\"}",
                "llama | rope_scaling | {\"type\":\"linear\"}",
                "llama | rope_scaling | {\"type\":\"linear\",\"factor\":2,\"attention_factor\":2}",
                "llama | rope_scaling | {\"type\":\"llama3\",\"factor\":2}",
                "llama | rope_scaling | 3",
                "llama | rope_parameters | {\"full_attention\":{\"rope_theta\":1000}}",
                "llama | rope_parameters | {\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}",
                "llama | rope_theta | 0",
                "llama | rope_interleaved | true",
                "llama | partial_rotary_factor | 0.5",
                "llama | logit_scale | 0.5",
                "llama | is_causal | false",
                "llama | use_causal_mask | false",
                "llama | some_new_switch | false",
                "gpt2 | max_sequence_length | 16",
                "llama | final_logit_softcapping | 30.0",
                "llama | sliding_window | 4",
                "llama | hidden_act | \"gelu\"",
                "llama | hidden_size | 15",
                "llama | hidden_size | \"16\"",
                "llama | hidden_size | null",
                "llama | num_attention_heads | 0",
                "llama | num_attention_heads | 4.5",
                "llama | num_key_value_heads | 3",
                "llama | num_hidden_layers | 3",
                "llama | num_hidden_layers | 1",
                "llama | vocab_size | 20",
                "llama | vocab_size | 1",
                "llama | rms_norm_eps | -1",
                "llama | attention_bias | true",
                "llama | attention_bias | \"yes\"",
                "llama | tie_word_embeddings | true",
                "llama-tied-f16 | tie_word_embeddings | false",
                "llama | model_type | \"mixtral\"",
                "llama | model_type | null",
                "llama | architectures | [\"LlamaForSequenceClassification\"]",
                "llama | auto_map | {\"AutoModel\":\"x.Y\"}",
                "llama | pruned_heads | {\"0\":[1]}",
                "mistral-window | layer_types | [\"full_attention\",\"sliding_attention\"]",
                "qwen2-window | layer_types | [\"full_attention\"]",
                "qwen2-window | layer_types | [\"full_attention\",\"chunked_attention\"]",
                "qwen2 | layer_types | [\"full_attention\",\"sliding_attention\"]",
                "qwen2 | use_mrope | true",
                "gpt2 | scale_attn_weights | false",
                "gpt2 | scale_attn_by_inverse_layer_idx | true",
                "gpt2 | add_cross_attention | true",
                "gpt2 | activation_function | \"quick_gelu\"",
                "gpt2 | n_positions | 17",
                "neox | rotary_pct | 0.01",
                "neox | rotary_pct | 0.4",
                "neox | rope_theta | 500",
                "neox | rope_scaling | {\"type\":\"dynamic\",\"factor\":2}",
            })
    void refuses_settings_by_name(String model, String key, String value) throws IOException {
        String message = refused(configured(model, key, value));
        boolean tensors = List.of(
                        "num_hidden_layers", "vocab_size", "attention_bias", "tie_word_embeddings", "hidden_size")
                .contains(key);
        assertTrue(
                message.contains(key)
                        || key.equals("model_type")
                        || key.equals("n_positions") && message.contains("wpe")
                        || key.startsWith("r") && (message.contains("rope") || message.contains("rotary"))
                        || tensors
                                && (message.contains("tensor")
                                        || message.contains("vocabulary")
                                        || message.contains("width")),
                message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "id2label | {\"0\":\"a\"}",
                "torch_dtype | \"bfloat16\"",
                "attention_dropout | 0.1",
                "_name_or_path | \"x/y\"",
                "use_sliding_window | false",
                "is_causal | true",
                "hidden_dropout_prob | 0.1",
                "n_special | 0",
                "some_new_setting | null",
                "max_length | 20",
                "eos_token_id | [1,2]",
                "rope_scaling | {\"rope_type\":\"default\"}",
                "head_dim | 4",
                "pretraining_tp | 4",
            })
    void takes_settings_that_change_nothing(String key, String value) throws IOException {
        ModelFolder.Loaded plain = ModelFolder.load(ReferenceModels.folder("llama"), DataType.FLOAT);
        ModelFolder.Loaded set = ModelFolder.load(configured("llama", key, value), DataType.FLOAT);
        assertEquals(plain.network().params(), set.network().params());
        assertEquals(plain.network().getLayerWiseConfigurations(), set.network().getLayerWiseConfigurations());
    }

    @Test
    void takes_two_names_of_the_same_setting() throws IOException {
        Path folder = configured("llama", "max_sequence_length", "7");
        Path file = folder.resolve("config.json");
        ObjectNode config = (ObjectNode) MAPPER.readTree(file.toFile());
        config.remove("rope_theta");
        JsonNode rope = MAPPER.readTree("{\"rope_type\":\"linear\",\"factor\":2.0,\"rope_theta\":1000.0}");
        config.set("rope_scaling", rope);
        config.set("rope_parameters", rope);
        Files.write(file, MAPPER.writeValueAsBytes(config));
        assertEquals(
                config.get("max_position_embeddings").asInt(),
                ModelFolder.load(folder, DataType.FLOAT).folder().contextLength());
        config.set("rope_parameters", MAPPER.readTree("{\"rope_type\":\"linear\",\"factor\":3.0}"));
        Files.write(file, MAPPER.writeValueAsBytes(config));
        assertTrue(refused(folder).contains("rope_scaling"));
    }

    /** The reference's defaults. */
    @ParameterizedTest
    @CsvSource({"llama, 2048", "mistral-window, 131072", "qwen2, 32768", "qwen3, 32768", "neox, 2048"})
    void a_missing_context_is_the_architectures(String model, int expected) throws IOException {
        Path folder = configured(model, "max_position_embeddings", "null");
        assertEquals(expected, ModelFolder.load(folder, DataType.FLOAT).folder().contextLength());
    }

    @ParameterizedTest
    @CsvSource({"config.json, llama", "model.safetensors, llama", "model-00002-of-00002.safetensors, llama3-shards-bf16"
    })
    void refuses_missing_files(String file, String model) throws IOException {
        Path folder = copy(model);
        Files.delete(folder.resolve(file));
        assertTrue(refused(folder).contains(file));
    }

    @Test
    void refuses_missing_folders() {
        assertTrue(refused(temporary.resolve("none")).contains("none"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "../x.safetensors",
                "/etc/x.safetensors",
                "a/../../x.safetensors",
                "C:\\\\x.safetensors",
                "x.bin",
                "..",
                "''",
                "sub/x.safetensors",
                "\\u0000.safetensors",
            })
    void refuses_shards_outside_of_the_folder(String name) throws IOException {
        Path folder = copy("llama3-shards-bf16");
        Path index = folder.resolve("model.safetensors.index.json");
        Files.copy(folder.resolve("model-00001-of-00002.safetensors"), temporary.resolve("x.safetensors"));
        Files.writeString(
                index,
                Files.readString(index).replaceAll("model-00001-of-00002.safetensors", name.replace("\\", "\\\\")));
        assertTrue(refused(folder).contains("weight_map"));
    }

    @Test
    void refuses_an_index_that_does_not_fit_its_files() throws IOException {
        Path folder = copy("llama3-shards-bf16");
        Path index = folder.resolve("model.safetensors.index.json");
        String text = Files.readString(index);
        Files.writeString(index, text.replace("model.norm.weight", "model.norm.weights"));
        assertTrue(refused(folder).contains("model.norm.weight"));
        Files.writeString(
                index,
                text.replace("\"weight_map\": {", "\"weight_map\": {\"more\": \"model-00001-of-00002.safetensors\","));
        assertTrue(refused(folder).contains("weight_map"));
        Files.writeString(index, "{\"weight_map\":{}}");
        assertTrue(refused(folder).contains("weight_map"));
        Files.writeString(index, "not JSON");
        assertTrue(refused(folder).contains("expected JSON"));
    }

    /** Puts a buffer of F32 numbers behind the tensors of a file. */
    private static void addBuffer(Path file, long numbers) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
        ObjectNode header = (ObjectNode) MAPPER.readTree(bytes, 8, length);
        long data = bytes.length - 8L - length;
        ObjectNode tensor = header.putObject("model.rotary_emb.inv_freq");
        tensor.put("dtype", "F32");
        tensor.putArray("shape").add(numbers);
        tensor.putArray("data_offsets").add(data).add(data + 4 * numbers);
        byte[] changed = MAPPER.writeValueAsBytes(header);
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.write(ByteBuffer.allocate(8)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(changed.length)
                    .array());
            out.write(changed);
            out.write(bytes, 8 + length, (int) data);
            out.setLength(8 + changed.length + data + 4 * numbers);
        }
    }

    @Test
    void an_index_need_not_name_buffers() throws IOException {
        Path folder = copy("llama3-shards-bf16");
        addBuffer(folder.resolve("model-00002-of-00002.safetensors"), 2);
        ModelFolder.Loaded loaded = ModelFolder.load(folder, DataType.FLOAT);
        assertEquals(
                ModelFolder.load(ReferenceModels.folder("llama3-shards-bf16"), DataType.FLOAT)
                        .network()
                        .params(),
                loaded.network().params());
        Path out = temporary.resolve("out");
        writer(loaded, loaded.network(), null).write(out);
        for (Path file : ReferenceModels.files(folder)) {
            assertEquals(-1, Files.mismatch(file, out.resolve(file.getFileName())), file.toString());
        }
    }

    /** The file is sparse: its numbers take no room on the disk. */
    @Test
    void refuses_buffers_that_are_too_large_to_keep() throws IOException {
        Path folder = copy("llama");
        addBuffer(folder.resolve("model.safetensors"), (1L << 29) + 1);
        String message = refused(folder);
        assertTrue(message.contains("inv_freq") && message.contains("268435456 bytes"), message);
    }

    @Test
    void refuses_settings_that_are_no_json() throws IOException {
        Path folder = copy("llama");
        Path config = folder.resolve("config.json");
        for (String text : List.of("", "[]", "{", "{\"a\":1,\"a\":2}", "nonsense", "{} {}", "[".repeat(100_000))) {
            Files.writeString(config, text);
            assertTrue(refused(folder).contains("config.json"));
        }
        Files.write(config, "{\"model_type\":\"ll\u00e4ma\"}".getBytes(StandardCharsets.ISO_8859_1));
        assertTrue(refused(folder).contains("UTF-8"));
    }

    @ParameterizedTest
    @CsvSource({"llama, 0x7FC00000", "llama, 0x7F800000", "gpt2, 0xFF800000", "neox, 0x7E007E00", "qwen2, 0x7FC07F80"})
    void refuses_weights_that_are_not_finite(String model, String bits) throws IOException {
        Path folder = copy(model);
        Path file = folder.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        try (SafetensorsFile open = SafetensorsFile.open(file)) {
            Tensor tensor = open.tensors().get(3);
            int at = (int) (8 + open.header().length + tensor.begin());
            int value = (int) (long) Long.decode(bits);
            for (int i = 0; i < 4; i++) {
                bytes[at + i] = (byte) (value >>> 8 * i);
            }
            Files.write(file, bytes);
            String message = refused(folder);
            assertTrue(message.contains(tensor.name()) && message.contains("finite"), message);
        }
    }

    @Test
    void refuses_tied_tensors_that_differ() throws IOException {
        Path folder = copy("llama-tied-twice");
        Path file = folder.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length - 4] ^= 1;
        Files.write(file, bytes);
        assertTrue(refused(folder).contains("lm_head.weight"));
    }

    @Test
    void writes_nothing_where_something_is_or_that_is_not_finite() throws IOException {
        ModelFolder.Loaded loaded = ModelFolder.load(ReferenceModels.folder("llama"), DataType.FLOAT);
        Path taken = Files.createDirectory(temporary.resolve("taken"));
        Files.writeString(taken.resolve("mine.txt"), "mine");
        assertThrows(
                IOException.class, () -> writer(loaded, loaded.network(), null).write(taken));
        assertEquals("mine", Files.readString(taken.resolve("mine.txt")));
        MultiLayerNetwork broken = loaded.network().clone();
        broken.params().putScalar(77, Double.NaN);
        String message = assertThrows(
                        IOException.class, () -> writer(loaded, broken, null).write(temporary.resolve("out")))
                .getMessage();
        assertTrue(message.contains("finite"), message);
        MultiLayerNetwork large = loaded.network().clone();
        large.params().putScalar(77, 1e6);
        assertThrows(IOException.class, () -> writer(loaded, large, "F16").write(temporary.resolve("out")));
        assertEquals(List.of(taken), Files.list(temporary).toList());
    }

    @Test
    void a_failed_write_leaves_no_folders_above() throws IOException {
        ModelFolder.Loaded loaded = ModelFolder.load(ReferenceModels.folder("llama"), DataType.FLOAT);
        MultiLayerNetwork broken = loaded.network().clone();
        broken.params().putScalar(77, Double.NaN);
        assertThrows(IOException.class, () -> writer(loaded, broken, null).write(temporary.resolve("a/b/c")));
        assertFalse(Files.exists(temporary.resolve("a")));
    }

    /** As any new folder and file here: others may read it if they may read those. */
    @Test
    void a_folder_has_the_permissions_of_new_folders() throws IOException {
        assumeTrue(temporary.getFileSystem().supportedFileAttributeViews().contains("posix"));
        ModelFolder.Loaded loaded = ModelFolder.load(ReferenceModels.folder("llama"), DataType.FLOAT);
        Path out = temporary.resolve("parent/out");
        writer(loaded, loaded.network(), null).write(out);
        Path folder = Files.createDirectory(temporary.resolve("any"));
        assertEquals(Files.getPosixFilePermissions(folder), Files.getPosixFilePermissions(out));
        Path file = Files.createFile(folder.resolve("any"));
        for (Path written : ReferenceModels.files(out)) {
            assertEquals(Files.getPosixFilePermissions(file), Files.getPosixFilePermissions(written));
        }
    }

    @Test
    void a_link_to_an_empty_folder_stays_a_link() throws IOException {
        ModelFolder.Loaded loaded = ModelFolder.load(ReferenceModels.folder("llama"), DataType.FLOAT);
        Path real = Files.createDirectory(temporary.resolve("real"));
        Path link;
        try {
            link = Files.createSymbolicLink(temporary.resolve("link"), real);
        } catch (IOException | UnsupportedOperationException e) {
            assumeTrue(false, "links");
            return;
        }
        writer(loaded, loaded.network(), null).write(link);
        assertTrue(Files.isSymbolicLink(link));
        assertTrue(Files.exists(real.resolve("config.json")));
        Path broken = Files.createSymbolicLink(temporary.resolve("broken"), temporary.resolve("nowhere"));
        assertThrows(
                IOException.class, () -> writer(loaded, loaded.network(), null).write(broken));
    }

    private static FolderWriter writer(ModelFolder.Loaded loaded, MultiLayerNetwork network, String type) {
        return new FolderWriter(loaded.folder(), new NetworkParameters(network), type, "{}", "a card");
    }
}
