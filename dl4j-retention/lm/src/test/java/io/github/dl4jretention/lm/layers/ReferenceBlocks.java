package io.github.dl4jretention.lm.layers;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** PyTorch's numbers of small blocks, {@code layers/blocks.json}; {@code make_blocks.py} beside it says how. */
final class ReferenceBlocks {

    private static final List<String> GAINS = List.of("queryNorm", "keyNorm", "attentionNorm", "feedForwardNorm");

    /** One block with its results. */
    record Case(String name, int batch, int width, JsonNode node) {

        int time() {
            return node.get("time").asInt();
        }

        DecoderBlock.Builder builder() {
            JsonNode o = node.get("options");
            return DecoderBlock.builder()
                    .width(width)
                    .weightInit(new WeightInitXavier())
                    .heads(o.get("heads").asInt())
                    .keyValueHeads(o.get("keyValueHeads").asInt())
                    .headSize(o.get("headSize").asInt())
                    .hidden(o.get("hidden").asInt())
                    .norm(Norm.valueOf(o.get("norm").asText()), o.get("epsilon").asDouble())
                    .feedForward(FeedForward.valueOf(o.get("feedForward").asText()))
                    .rotary(rotary(o.get("rotary")))
                    .queryKeyValueBias(o.get("queryKeyValueBias").asBoolean())
                    .projectionBias(o.get("projectionBias").asBoolean())
                    .feedForwardBias(o.get("feedForwardBias").asBoolean())
                    .queryKeyNorm(o.get("queryKeyNorm").asBoolean())
                    .parallelResidual(o.get("parallelResidual").asBoolean())
                    .window(o.get("window").asInt());
        }

        private static RotaryPositions rotary(JsonNode r) {
            if (r.isNull()) {
                return null;
            }
            RotaryPositions rotary = RotaryPositions.base(r.get("base").asDouble());
            if (r.has("dimensions")) {
                rotary = rotary.dimensions(r.get("dimensions").asInt());
            }
            if (r.has("interleaved")) {
                rotary = rotary.interleaved();
            }
            if (r.has("linear")) {
                rotary = rotary.linear(r.get("linear").asDouble());
            }
            if (r.has("llama3")) {
                JsonNode l = r.get("llama3");
                rotary = rotary.llama3(
                        l.get(0).asDouble(),
                        l.get(1).asDouble(),
                        l.get(2).asDouble(),
                        l.get(3).asInt());
            }
            return rotary;
        }

        /** {@code [batch, width, time]}. */
        INDArray input(DataType type) {
            return sequences(numbers((int) size(), 1), type);
        }

        INDArray outputGradient(DataType type) {
            return sequences(numbers((int) size(), 2), type);
        }

        INDArray output(DataType type) {
            return sequences(array("output"), type);
        }

        INDArray inputGradient(DataType type) {
            return sequences(array("inputGradient"), type);
        }

        /** {@code [batch, time]}; null for none. */
        INDArray mask(DataType type) {
            JsonNode mask = node.get("mask");
            if (mask.isNull()) {
                return null;
            }
            INDArray array = Nd4j.create(type, batch, time());
            for (int i = 0; i < batch; i++) {
                for (int t = 0; t < time(); t++) {
                    array.putScalar(i, t, mask.get(i).get(t).asInt());
                }
            }
            return array;
        }

        /** In the order of memory. */
        double[] gradient(String parameter) {
            return doubles(node.get("gradients").get(parameter));
        }

        int parameters() {
            return node.get("gradients").size();
        }

        private long size() {
            return (long) batch * time() * width;
        }

        private double[] array(String field) {
            return doubles(node.get(field));
        }

        private INDArray sequences(double[] numbers, DataType type) {
            return Nd4j.createFromArray(numbers)
                    .reshape('c', batch, time(), width)
                    .permute(0, 2, 1)
                    .castTo(type);
        }

        /** The block with the reference's parameters, and room for gradients. */
        DecoderBlockRuntime layer(DecoderBlock block, DataType type) {
            return (DecoderBlockRuntime) runtime(block, type);
        }
    }

    private ReferenceBlocks() {}

    static TokenLayerRuntime runtime(TokenLayer layer, DataType type) {
        NeuralNetConfiguration conf =
                new NeuralNetConfiguration.Builder().layer((Layer) layer).build();
        long count = layer.initializer().numParams(layer);
        INDArray view = Nd4j.zeros(type, 1, count);
        TokenLayerRuntime runtime = (TokenLayerRuntime) layer.instantiate(conf, null, 0, view, true, type);
        runtime.setBackpropGradientsViewArray(Nd4j.valueArrayOf(new long[] {1, count}, Double.NaN, type));
        runtime.paramTable().forEach((name, array) -> {
            double[] numbers = numbers((int) array.length(), name.chars().sum());
            boolean gain = GAINS.contains(name);
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = gain ? 1 + 0.2 * numbers[i] : 0.5 * numbers[i];
            }
            array.assign(Nd4j.createFromArray(numbers)
                    .reshape(layer.paramReshapeOrder(name), array.shape())
                    .castTo(type));
        });
        return runtime;
    }

    private static double[] numbers(int count, int seed) {
        return IntStream.range(0, count)
                .mapToDouble(i -> Math.sin(1.3 * i + seed))
                .toArray();
    }

    private static double[] doubles(JsonNode array) {
        return IntStream.range(0, array.size())
                .mapToDouble(i -> array.get(i).asDouble())
                .toArray();
    }

    static List<Case> all() {
        try (InputStream in = ReferenceBlocks.class.getResourceAsStream("/layers/blocks.json")) {
            JsonNode root = new ObjectMapper().readTree(in);
            List<Case> cases = new ArrayList<>();
            root.get("cases")
                    .forEach(node -> cases.add(new Case(
                            node.get("name").asText(),
                            root.get("batch").asInt(),
                            root.get("width").asInt(),
                            node)));
            return cases;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Each element within a part of the larger of 0.1 and the largest; NaN fails. */
    static void assertRelative(String what, double[] expected, double[] actual, double tolerance) {
        assertEquals(expected.length, actual.length, what);
        double largest = 0;
        for (double value : expected) {
            largest = Math.max(largest, Math.abs(value));
        }
        for (int i = 0; i < expected.length; i++) {
            assertEquals(expected[i], actual[i], tolerance * Math.max(largest, 0.1), what + " at " + i);
        }
    }

    static double[] flat(INDArray array) {
        return flat(array, 'c');
    }

    static double[] flat(INDArray array, char order) {
        return array.castTo(DataType.DOUBLE).dup(order).data().asDouble();
    }
}
