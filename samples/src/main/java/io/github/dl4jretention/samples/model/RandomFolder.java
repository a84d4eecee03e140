package io.github.dl4jretention.samples.model;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.random.RandomGenerator;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * Writes the folder of a Llama model with random weights, to pretrain it or to measure with it: config.json and
 * model.safetensors, with a tied embedding.
 *
 * @param vocabulary    number of token ids
 * @param width         numbers of a token
 * @param layers        decoder blocks
 * @param heads         of attention
 * @param keyValueHeads of keys and values
 * @param hidden        numbers inside of a feed-forward layer
 * @param context       the longest sequence, in tokens
 */
public record RandomFolder(
        int vocabulary, int width, int layers, int heads, int keyValueHeads, int hidden, int context) {

    /** The sizes of SmolLM2-135M. */
    public static final RandomFolder OF_135_MILLION = new RandomFolder(49_152, 576, 30, 9, 3, 1536, 8192);

    /** The sizes of Llama 3.2 1B, with a tied embedding as it has. */
    public static final RandomFolder OF_A_BILLION = new RandomFolder(128_256, 2048, 16, 32, 8, 8192, 131_072);

    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final double DEVIATION = 0.02;
    private static final int CHUNK = 1 << 20;

    /** {@return the shapes of all tensors by their names} */
    private Map<String, int[]> shapes() {
        int keyValue = width / heads * keyValueHeads;
        Map<String, int[]> shapes = new LinkedHashMap<>();
        shapes.put("model.embed_tokens.weight", new int[] {vocabulary, width});
        for (int i = 0; i < layers; i++) {
            String layer = "model.layers." + i + ".";
            shapes.put(layer + "input_layernorm.weight", new int[] {width});
            shapes.put(layer + "self_attn.q_proj.weight", new int[] {width, width});
            shapes.put(layer + "self_attn.k_proj.weight", new int[] {keyValue, width});
            shapes.put(layer + "self_attn.v_proj.weight", new int[] {keyValue, width});
            shapes.put(layer + "self_attn.o_proj.weight", new int[] {width, width});
            shapes.put(layer + "post_attention_layernorm.weight", new int[] {width});
            shapes.put(layer + "mlp.gate_proj.weight", new int[] {hidden, width});
            shapes.put(layer + "mlp.up_proj.weight", new int[] {hidden, width});
            shapes.put(layer + "mlp.down_proj.weight", new int[] {width, hidden});
        }
        shapes.put("model.norm.weight", new int[] {width});
        return shapes;
    }

    /**
     * Writes both files.
     *
     * @param folder    made if need be
     * @param bfloat16  whether weights are BF16, rather than F32
     * @param seed      of the weights: gains are 1, others normal with a deviation of 0.02
     * @throws IOException if they can't be written
     */
    public void write(Path folder, boolean bfloat16, long seed) throws IOException {
        write(folder, bfloat16, new Random(seed));
    }

    /**
     * Writes both files.
     *
     * @param folder    made if need be
     * @param bfloat16  whether weights are BF16, rather than F32
     * @param random    gives the weights, as above; a SplittableRandom is several times as fast as a Random
     * @throws IOException if they can't be written
     */
    public void write(Path folder, boolean bfloat16, RandomGenerator random) throws IOException {
        Files.createDirectories(folder);
        ObjectNode config = MAPPER.createObjectNode();
        config.putArray("architectures").add("LlamaForCausalLM");
        config.put("model_type", "llama")
                .put("vocab_size", vocabulary)
                .put("hidden_size", width)
                .put("num_hidden_layers", layers)
                .put("num_attention_heads", heads)
                .put("num_key_value_heads", keyValueHeads)
                .put("intermediate_size", hidden)
                .put("max_position_embeddings", context)
                .put("rms_norm_eps", 1e-5)
                .put("rope_theta", 10_000)
                .put("tie_word_embeddings", true)
                .put("torch_dtype", bfloat16 ? "bfloat16" : "float32");
        Files.writeString(folder.resolve("config.json"), MAPPER.writeValueAsString(config) + "\n");
        int bytes = bfloat16 ? Short.BYTES : Float.BYTES;
        Map<String, int[]> shapes = shapes();
        byte[] header = header(shapes, bfloat16 ? "BF16" : "F32", bytes);
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(folder.resolve("model.safetensors")))) {
            out.write(ByteBuffer.allocate(Long.BYTES)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(header.length)
                    .array());
            out.write(header);
            for (Map.Entry<String, int[]> tensor : shapes.entrySet()) {
                boolean gain = tensor.getValue().length == 1;
                for (long left = count(tensor.getValue()); left > 0; left -= CHUNK) {
                    out.write(numbers((int) Math.min(CHUNK, left), gain, bytes, random));
                }
            }
        }
    }

    private static byte[] header(Map<String, int[]> shapes, String type, int bytes) throws IOException {
        ObjectNode header = MAPPER.createObjectNode();
        long at = 0;
        for (Map.Entry<String, int[]> tensor : shapes.entrySet()) {
            ObjectNode node = header.putObject(tensor.getKey()).put("dtype", type);
            node.set("shape", MAPPER.valueToTree(tensor.getValue()));
            long end = at + count(tensor.getValue()) * bytes;
            node.set("data_offsets", MAPPER.valueToTree(new long[] {at, end}));
            at = end;
        }
        String text = MAPPER.writeValueAsString(header);
        int length = text.getBytes(StandardCharsets.UTF_8).length;
        return (text + " ".repeat(Math.floorMod(-length, Long.BYTES))).getBytes(StandardCharsets.UTF_8);
    }

    private static long count(int[] shape) {
        long count = 1;
        for (int axis : shape) {
            count *= axis;
        }
        return count;
    }

    private static byte[] numbers(int count, boolean gain, int bytes, RandomGenerator random) {
        ByteBuffer buffer = ByteBuffer.allocate(count * bytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < count; i++) {
            int bits = Float.floatToIntBits(gain ? 1 : (float) (DEVIATION * random.nextGaussian()));
            if (bytes == Float.BYTES) {
                buffer.putInt(bits);
            } else {
                buffer.putShort((short) (bits >>> Short.SIZE));
            }
        }
        return buffer.array();
    }
}
