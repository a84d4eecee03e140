package io.github.dl4jretention.tasks;

import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** A model that keeps no state between two calls: it reads each text as a whole. */
final class WholeModel extends TaskModel {

    /** Texts that are read at once. */
    private static final int ROWS = 16;

    private final Teacher teacher;
    private final String sha256;
    private final Input input;

    /**
     * What a model reads.
     *
     * @param dataType of its arrays
     * @param rank     2 for {@code [batch, time]}, 3 for {@code [batch, width, time]}
     * @param width    1 for ids; the vocabulary for one-hot tokens
     * @param time     that every text is padded to; 0 for none
     */
    private record Input(DataType dataType, int rank, long width, int time) {}

    private WholeModel(Teacher teacher, String sha256, Input input, Tokenizer tokenizer, int context) {
        super(tokenizer, context);
        this.teacher = teacher;
        this.sha256 = sha256;
        this.input = input;
    }

    /** Of a network that could be read step by step, to compare with. */
    static WholeModel whole(MultiLayerNetwork network, Tokenizer tokenizer, int context) {
        Input input = input(
                network.getLayerWiseConfigurations().getDataType(),
                network.getLayerWiseConfigurations().getConf(0).getLayer());
        return new WholeModel(Teacher.of(network), NetworkIdentity.sha256(network), input, tokenizer, context);
    }

    static WholeModel whole(ComputationGraph graph, Tokenizer tokenizer, int context) {
        List<String> inputs = graph.getConfiguration().getNetworkInputs();
        if (inputs.size() != 1 || graph.getNumOutputArrays() != 1) {
            throw new IllegalArgumentException("graph: expected one input and one output, got " + inputs.size()
                    + " and " + graph.getNumOutputArrays());
        }
        Layer first = graph.getConfiguration().getVertexInputs().entrySet().stream()
                .filter(vertex -> vertex.getValue().contains(inputs.get(0)))
                .map(Map.Entry::getKey)
                .sorted(Comparator.naturalOrder())
                .map(name -> graph.getConfiguration().getVertices().get(name))
                .filter(LayerVertex.class::isInstance)
                .map(vertex -> ((LayerVertex) vertex).getLayerConf().getLayer())
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException(
                        "graph: expected a layer that takes the input " + inputs.get(0) + ", got none"));
        Input input = input(graph.getConfiguration().getDataType(), first);
        return new WholeModel(Teacher.of(graph), NetworkIdentity.sha256(graph), input, tokenizer, context);
    }

    private static Input input(DataType dataType, Layer first) {
        if (first instanceof TokenEmbedding
                || first instanceof EmbeddingSequenceLayer
                || first instanceof EmbeddingLayer) {
            return new Input(DataType.INT32, 3, 1, 0);
        }
        if (first instanceof FeedForwardLayer layer) {
            return new Input(dataType, 3, layer.getNIn(), 0);
        }
        throw new IllegalArgumentException(
                "network: expected a first layer that takes token ids or one-hot tokens, got "
                        + first.getClass().getSimpleName());
    }

    static WholeModel whole(SameDiff model, String logits, String features, Tokenizer tokenizer, int context) {
        SDVariable placeholder = Objects.requireNonNull(model, "model").getVariable(features);
        if (placeholder == null || !placeholder.isPlaceHolder()) {
            throw new IllegalArgumentException("features: expected the name of a placeholder, got " + features);
        }
        long[] shape = placeholder.placeholderShape();
        if (shape == null || shape.length < 2 || shape.length > 3) {
            throw new IllegalArgumentException("features: expected a placeholder of shape [batch, time] or "
                    + "[batch, width, time], got " + Arrays.toString(shape));
        }
        int time = (int) Math.max(0, shape[shape.length - 1]);
        long width = shape.length == 2 ? 1 : Math.max(1, shape[1]);
        return new WholeModel(
                Teacher.of(model, logits, features),
                NetworkIdentity.sha256(model, logits),
                new Input(placeholder.dataType(), shape.length, width, time),
                tokenizer,
                time > 0 ? Math.min(time, context) : context);
    }

    @Override
    String sha256() {
        return sha256;
    }

    @Override
    double[][][] score(int[] head, int[][] prompts, int[][][] continuations) {
        List<int[]> texts = new ArrayList<>();
        List<double[]> places = new ArrayList<>();
        double[][][] found = new double[prompts.length][][];
        for (int i = 0; i < prompts.length; i++) {
            found[i] = new double[continuations[i].length][];
            for (int j = 0; j < continuations[i].length; j++) {
                found[i][j] = new double[continuations[i][j].length];
                texts.add(joined(head, prompts[i], continuations[i][j]));
                places.add(found[i][j]);
            }
        }
        for (int from = 0; from < texts.size(); from += ROWS) {
            int to = Math.min(texts.size(), from + ROWS);
            List<int[]> rows = texts.subList(from, to);
            // Nothing is asked after the last token, which may be one more than the context.
            List<int[]> fed = rows.stream()
                    .map(text -> Arrays.copyOf(text, text.length - 1))
                    .toList();
            try (LogProbabilities all = read(fed)) {
                for (int row = 0; row < rows.size(); row++) {
                    double[] place = places.get(from + row);
                    int[] text = rows.get(row);
                    for (int t = 0; t < place.length; t++) {
                        int at = text.length - place.length + t;
                        place[t] = all.get(row, at - 1, text[at]);
                    }
                }
            }
        }
        return found;
    }

    private static int[] joined(int[]... parts) {
        return Arrays.stream(parts).flatMapToInt(Arrays::stream).toArray();
    }

    /**
     * What a model gives for some texts.
     *
     * @param values    {@code [batch, V, time]} or {@code [batch, time, V]}
     * @param classAxis 1 or 2
     */
    private record LogProbabilities(INDArray values, int classAxis) implements AutoCloseable {

        double get(int row, int time, int token) {
            return classAxis == 1 ? values.getDouble(row, token, time) : values.getDouble(row, time, token);
        }

        @Override
        public void close() {
            if (values.closeable()) {
                values.close();
            }
        }
    }

    /** Shorter texts are padded with token 0 at their end, which changes nothing before it. */
    private LogProbabilities read(List<int[]> texts) {
        int longest = texts.stream().mapToInt(text -> text.length).max().orElseThrow();
        int time = Math.max(longest, input.time());
        try (INDArray array = input.rank() == 2
                ? Nd4j.create(input.dataType(), texts.size(), time)
                : Nd4j.create(input.dataType(), texts.size(), input.width(), time)) {
            for (int row = 0; row < texts.size(); row++) {
                int[] text = texts.get(row);
                for (int t = 0; t < text.length; t++) {
                    if (input.rank() == 2) {
                        array.putScalar(new int[] {row, t}, text[t]);
                    } else if (input.width() == 1) {
                        array.putScalar(new int[] {row, 0, t}, text[t]);
                    } else {
                        array.putScalar(new int[] {row, text[t], t}, 1);
                    }
                }
            }
            INDArray values = teacher.logProbabilities(array, null);
            if (values.rank() == 2) {
                return new LogProbabilities(values.reshape('c', texts.size(), time, values.size(1)), 2);
            }
            return new LogProbabilities(values, teacher.outputs().get(0).classAxis(values.rank()));
        }
    }

    @Override
    Generator generator() {
        return Generator.of(this::next, tokenizer(), context());
    }

    private float[][] next(int[][] sequences) {
        float[][] next = new float[sequences.length][];
        for (int from = 0; from < sequences.length; from += ROWS) {
            int to = Math.min(sequences.length, from + ROWS);
            try (LogProbabilities all = read(Arrays.asList(sequences).subList(from, to))) {
                int last = sequences[from].length - 1;
                int vocabulary = Math.toIntExact(all.values().size(all.classAxis()));
                for (int row = from; row < to; row++) {
                    next[row] = new float[vocabulary];
                    for (int token = 0; token < vocabulary; token++) {
                        next[row][token] = (float) all.get(row - from, last, token);
                    }
                }
            }
        }
        return next;
    }

    @Override
    public void close() {
        teacher.close();
    }
}
