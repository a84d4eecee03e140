package io.github.dl4jretention.lm;

import io.github.dl4jretention.internal.ThawedLayer;
import io.github.dl4jretention.internal.TiedWeights;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.fused.FloatMemory;
import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A network that reads tokens step by step. All layers but the last are a network of their own that shares the
 * parameters, so its {@code rnnTimeStep} leaves the network's stored state alone. The last one is a softmax layer, whose
 * logits {@code h W + b} are computed here, and only those that somebody asks for.
 */
final class NetworkSteps implements Steps {

    /** Logits that are computed at once. */
    private static final int LOGITS = 1 << 22;

    /** Token ids whose weights in half precision are widened at once. */
    private static final int WIDENED = 2048;

    private static final int ROW_MAJOR = 101;
    private static final int NOT_TRANSPOSED = 111;

    private final MultiLayerNetwork network;
    private final MultiLayerNetwork body;
    private final boolean asIds;

    NetworkSteps(MultiLayerNetwork network) {
        this.network = network;
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations().clone();
        int last = conf.getConfs().size() - 1;
        Layer first = ThawedLayer.innermost(conf.getConf(0).getLayer());
        asIds = first instanceof TokenEmbedding || first instanceof EmbeddingSequenceLayer;
        if (last == 0) {
            throw new IllegalArgumentException("network: expected layers before the output layer, got none");
        }
        Layer output = conf.getConf(last).getLayer();
        boolean softmax = output instanceof RetentionOutputLayer
                || output instanceof BaseLayer stock && stock.getActivationFn() instanceof ActivationSoftmax;
        if (!softmax) {
            throw new IllegalArgumentException("network: expected a softmax output layer, got "
                    + output.getClass().getSimpleName());
        }
        conf.getConfs().remove(last);
        body = new MultiLayerNetwork(conf);
        long numbers = network.numParams() - network.getLayer(last).numParams();
        if (numbers == 0) {
            body.init();
            return;
        }
        INDArray shared = network.params().reshape(network.numParams()).get(NDArrayIndex.interval(0, numbers));
        body.init(shared.reshape(1, numbers), false);
    }

    @Override
    public void read(int[][] ids) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            free(hidden(ids));
        }
    }

    private INDArray hidden(int[][] ids) {
        try (INDArray input = input(ids)) {
            return body.rnnTimeStep(input);
        }
    }

    private static void free(INDArray array) {
        if (array.closeable()) {
            array.close();
        }
    }

    /**
     * What the layers know about the tokens so far.
     *
     * @param layers of each layer, by its number, arrays of their own; empty for layers that know nothing
     */
    private record Layers(List<Map<String, INDArray>> layers) implements State {

        @Override
        public void close() {
            layers.forEach(layer -> layer.values().forEach(INDArray::close));
        }
    }

    @Override
    public State state() {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            List<Map<String, INDArray>> layers = new ArrayList<>();
            for (int i = 0; i < body.getnLayers(); i++) {
                Map<String, INDArray> copies = new LinkedHashMap<>();
                if (isRecurrent(body.getLayer(i))) {
                    body.rnnGetPreviousState(i).forEach((name, array) -> copies.put(name, array.dup('c')));
                }
                layers.add(copies);
            }
            return new Layers(layers);
        }
    }

    /** Forgets all tokens. */
    void clear() {
        body.rnnClearPreviousState();
    }

    @Override
    public void restore(State state, int[] rows) {
        List<Map<String, INDArray>> layers = ((Layers) state).layers();
        body.rnnClearPreviousState();
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            for (int i = 0; i < body.getnLayers(); i++) {
                if (isRecurrent(body.getLayer(i)) && !layers.get(i).isEmpty()) {
                    Map<String, INDArray> chosen = new LinkedHashMap<>();
                    layers.get(i).forEach((name, array) -> chosen.put(name, rows(array, rows)));
                    body.rnnSetPreviousState(i, chosen);
                }
            }
        }
    }

    private static boolean isRecurrent(org.deeplearning4j.nn.api.Layer layer) {
        return layer instanceof RecurrentLayer
                || layer instanceof BaseWrapperLayer wrapper && isRecurrent(wrapper.getUnderlying());
    }

    /** Numbers that don't belong to a sequence, such as a count of tokens, have one axis or none. */
    private static INDArray rows(INDArray array, int[] rows) {
        if (array.rank() < 2) {
            return array.dup('c');
        }
        long[] shape = array.shape().clone();
        long length = array.length() / shape[0];
        shape[0] = rows.length;
        if (FloatMemory.isAccessible(array) && array.ordering() == 'c' && !array.isView()) {
            INDArray chosen = Nd4j.createUninitialized(array.dataType(), shape);
            FloatMemory.copyFirst(array, rows, chosen, length);
            return chosen;
        }
        INDArray from = array.reshape('c', array.size(0), length);
        return Nd4j.pullRows(from, 1, rows, 'c').reshape('c', shape);
    }

    /**
     * {@return after reading tokens, the log-probabilities of others, in nats: of each sequence and time, of its tokens at
     * that time}
     *
     * @param ids    of each sequence, as many of each
     * @param wanted of each sequence and time, tokens that may come next
     */
    double[][][] logProbabilities(int[][] ids, int[][][] wanted) {
        double[][][] found = new double[ids.length][][];
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray hidden = hidden(ids);
            List<int[]> places = new ArrayList<>();
            for (int row = 0; row < ids.length; row++) {
                found[row] = new double[wanted[row].length][];
                for (int t = 0; t < wanted[row].length; t++) {
                    found[row][t] = new double[0];
                    if (wanted[row][t].length > 0) {
                        places.add(new int[] {row, t});
                    }
                }
            }
            int vocabulary = vocabulary(hidden.size(1));
            int most = Math.max(1, LOGITS / vocabulary);
            for (int from = 0; from < places.size(); from += most) {
                add(found, hidden, places.subList(from, Math.min(from + most, places.size())), wanted);
            }
            free(hidden);
        }
        return found;
    }

    private int vocabulary(long width) {
        INDArray weights = weights(width);
        return Math.toIntExact(weights == null ? width : weights.size(1));
    }

    private void add(double[][][] found, INDArray hidden, List<int[]> places, int[][][] wanted) {
        long time = hidden.size(2);
        int[] numbers = places.stream()
                .mapToInt(place -> Math.toIntExact(place[0] * time + place[1]))
                .toArray();
        try (INDArray byTime = hidden.permute(0, 2, 1).dup('c');
                INDArray rows =
                        Nd4j.pullRows(byTime.reshape('c', hidden.size(0) * time, hidden.size(1)), 1, numbers, 'c')) {
            INDArray weights = weights(hidden.size(1));
            INDArray logits = weights == null ? rows : times(rows, weights);
            INDArray bias = bias();
            if (bias != null) {
                logits.addiRowVector(bias.reshape(1, bias.length()).castTo(logits.dataType()));
            }
            try (INDArray added = lowRank(rows)) {
                if (added != null) {
                    logits.addi(added);
                }
            }
            int vocabulary = Math.toIntExact(logits.size(1));
            double[] all;
            try (INDArray wide = Nd4j.createUninitialized(DataType.DOUBLE, places.size(), vocabulary)) {
                all = wide.assign(logits).data().asDouble();
            }
            for (int i = 0; i < places.size(); i++) {
                int[] place = places.get(i);
                double[] row = Arrays.copyOfRange(all, i * vocabulary, (i + 1) * vocabulary);
                int[] tokens = wanted[place[0]][place[1]];
                double[] values = new double[tokens.length];
                double sum = logSum(row);
                for (int j = 0; j < tokens.length; j++) {
                    if (tokens[j] < 0 || tokens[j] >= vocabulary) {
                        throw new IllegalArgumentException("continuations: expected ids of at least 0 and below "
                                + vocabulary + ", got " + tokens[j]);
                    }
                    values[j] = row[tokens[j]] - sum;
                }
                found[place[0]][place[1]] = values;
            }
            free(logits);
        }
    }

    private static double logSum(double[] logits) {
        double largest = Double.NEGATIVE_INFINITY;
        for (double logit : logits) {
            largest = Math.max(largest, logit);
        }
        double sum = 0;
        for (double logit : logits) {
            sum += Math.exp(logit - largest);
        }
        return largest + Math.log(sum);
    }

    @Override
    public float[][] next(int[][] ids) {
        int last = network.getnLayers() - 1;
        InputPreProcessor before = network.getLayerWiseConfigurations().getInputPreProcess(last);
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces();
                Workers.Burst burst = Workers.burst()) {
            INDArray hidden = hidden(ids);
            INDArray processed =
                    before == null ? hidden : before.preProcess(hidden, ids.length, LayerWorkspaceMgr.noWorkspaces());
            float[][] next = new float[ids.length][];
            for (int row = 0; row < next.length; row++) {
                try (INDArray numbers =
                        processed.get(NDArrayIndex.interval(row, row + 1)).dup('c')) {
                    next[row] = logits(numbers.reshape(1, numbers.length()));
                }
            }
            free(hidden);
            return next;
        }
    }

    private float[] logits(INDArray hidden) {
        INDArray weights = weights(hidden.length());
        float[] logits = weights == null ? hidden.toFloatVector() : product(hidden, weights);
        INDArray bias = bias();
        float[] biases = bias == null ? new float[0] : bias.toFloatVector();
        for (int i = 0; i < biases.length; i++) {
            logits[i] += biases[i];
        }
        try (INDArray added = lowRank(hidden)) {
            float[] numbers = added == null ? new float[0] : added.toFloatVector();
            for (int i = 0; i < numbers.length; i++) {
                logits[i] += numbers[i];
            }
        }
        return logits;
    }

    private org.deeplearning4j.nn.api.Layer last() {
        return network.getLayer(network.getnLayers() - 1);
    }

    private @Nullable INDArray parameter(String name) {
        Map<String, INDArray> parameters =
                last() instanceof RetentionOutputLayerRuntime own ? own.weights() : last().paramTable();
        return parameters == null ? null : parameters.get(name);
    }

    /** {@return what an adapter adds to the logits of some rows; null if the last layer has none} */
    private @Nullable INDArray lowRank(INDArray rows) {
        INDArray down = parameter(LossPath.DOWN);
        INDArray up = parameter(LossPath.UP);
        if (down == null || up == null || !(last() instanceof RetentionOutputLayerRuntime own)) {
            return null;
        }
        try (INDArray low = rows.mmul(down)) {
            return low.mmul(up).muli(own.lowRankScale());
        }
    }

    private @Nullable INDArray bias() {
        return parameter(DefaultParamInitializer.BIAS_KEY);
    }

    /** {@return weights of the last layer; null if its input is the logits} */
    private @Nullable INDArray weights(long width) {
        INDArray weights = parameter(DefaultParamInitializer.WEIGHT_KEY);
        return weights == null ? tied(width) : weights;
    }

    /** {@return the embedding's weights, if the last layer has none and takes numbers of a token; else null} */
    private @Nullable INDArray tied(long width) {
        return network.getLayer(0) instanceof TiedWeights.Owner owner
                        && owner.weights().size(0) == width
                ? owner.weights()
                : null;
    }

    /** {@return {@code h W}} of some rows; weights in half precision are widened a part at a time. */
    private static INDArray times(INDArray rows, INDArray weights) {
        if (weights.dataType() == rows.dataType()) {
            return rows.mmul(weights);
        }
        int vocabulary = Math.toIntExact(weights.size(1));
        INDArray product = Nd4j.createUninitialized(rows.dataType(), new long[] {rows.size(0), vocabulary}, 'f');
        int parts = (vocabulary + WIDENED - 1) / WIDENED;
        Workers.run(parts, part -> {
            INDArrayIndex columns = NDArrayIndex.interval(
                    Workers.start(vocabulary, parts, part), Workers.start(vocabulary, parts, part + 1));
            try (INDArray wide = weights.get(NDArrayIndex.all(), columns).castTo(rows.dataType());
                    INDArray some = rows.mmul(wide)) {
                product.get(NDArrayIndex.all(), columns).assign(some);
            }
        });
        return product;
    }

    /**
     * {@return {@code h W}} A part of the vocabulary on each processor, by OpenBLAS, which takes half the time of ND4J's own
     * product of a vector.
     */
    private static float[] product(INDArray hidden, INDArray weights) {
        int width = Math.toIntExact(weights.size(0));
        int vocabulary = Math.toIntExact(weights.size(1));
        boolean rows = weights.dataType() == DataType.FLOAT && weights.stride(0) == 1 && weights.stride(1) == width;
        if (!rows || !Nd4j.getEnvironment().isCPU()) {
            try (INDArray product = times(hidden, weights)) {
                return product.toFloatVector();
            }
        }
        float[] result = new float[vocabulary];
        int parts = Math.min(Workers.ofMachine().products(), vocabulary);
        Workers.run(parts, part -> {
            int from = Workers.start(vocabulary, parts, part);
            int count = Workers.start(vocabulary, parts, part + 1) - from;
            FloatPointer matrix = new FloatPointer(weights.data().addressPointer());
            FloatPointer vector = new FloatPointer(hidden.data().addressPointer());
            try (FloatPointer product = new FloatPointer(count)) {
                openblas_nolapack.cblas_sgemv(
                        ROW_MAJOR,
                        NOT_TRANSPOSED,
                        count,
                        width,
                        1,
                        matrix.position(matrix.position() + (long) from * width),
                        width,
                        vector,
                        1,
                        0,
                        product,
                        1);
                product.get(result, from, count);
            }
        });
        Reference.reachabilityFence(weights);
        Reference.reachabilityFence(hidden);
        return result;
    }

    private INDArray input(int[][] ids) {
        int count = ids[0].length;
        if (asIds) {
            return Nd4j.createFromArray(ids).reshape('c', ids.length, 1, count);
        }
        INDArray input = Nd4j.create(
                network.getLayerWiseConfigurations().getDataType(), ids.length, network.layerInputSize(0), count);
        for (int row = 0; row < ids.length; row++) {
            for (int t = 0; t < count; t++) {
                input.putScalar(new int[] {row, ids[row][t], t}, 1);
            }
        }
        return input;
    }
}
