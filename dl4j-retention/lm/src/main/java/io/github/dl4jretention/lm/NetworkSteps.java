package io.github.dl4jretention.lm;

import io.github.dl4jretention.internal.ThawedLayer;
import io.github.dl4jretention.internal.TokenSteps;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.loss.fused.FloatMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A network that reads tokens step by step. All layers but the last are a network of their own that shares the
 * parameters, so its {@code rnnTimeStep} leaves the network's stored state alone. Of the last one only those logits are computed
 * that somebody asks for.
 */
final class NetworkSteps implements Steps {

    /** Logits that are computed at once. */
    private static final int LOGITS = 1 << 22;

    private final MultiLayerNetwork network;
    private final MultiLayerNetwork body;
    private final OutputLogits output;
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
        output = new OutputLogits(network);
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
        List<TokenSteps> steps = ids[0].length == 1 ? steps() : List.of();
        try (INDArray input = input(ids)) {
            return steps.isEmpty() ? body.rnnTimeStep(input) : token(input, steps);
        }
    }

    /** {@return the layers, if all of them compute a token in arrays that they are given; else none} */
    private List<TokenSteps> steps() {
        List<TokenSteps> steps = new ArrayList<>();
        for (int i = 0; i < body.getnLayers() && asIds; i++) {
            boolean asIs = body.getLayerWiseConfigurations().getInputPreProcess(i) == null;
            if (!asIs || !(body.getLayer(i) instanceof TokenSteps step) || step.stepWidth() == 0) {
                return List.of();
            }
            steps.add(step);
        }
        return steps.stream().mapToInt(TokenSteps::stepWidth).distinct().count() == 1 ? steps : List.of();
    }

    /** The next token of each sequence: the layers write into two arrays in turn. */
    private INDArray token(INDArray ids, List<TokenSteps> steps) {
        int batch = Math.toIntExact(ids.size(0));
        int width = steps.get(0).stepWidth();
        DataType type = body.getLayerWiseConfigurations().getDataType();
        long memory = 1;
        for (TokenSteps step : steps) {
            memory = Math.max(memory, step.stepMemory(batch));
        }
        try (INDArray one = Nd4j.createUninitialized(type, batch, width, 1);
                INDArray other = Nd4j.createUninitialized(type, batch, width, 1);
                INDArray work = Nd4j.createUninitialized(type, memory)) {
            INDArray last = ids;
            for (TokenSteps step : steps) {
                INDArray next = last == one ? other : one;
                step.step(last, next, work);
                last = next;
            }
            return last.dup('c');
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
            int vocabulary = output.vocabulary(hidden.size(1));
            int most = Math.max(1, LOGITS / vocabulary);
            for (int from = 0; from < places.size(); from += most) {
                add(found, hidden, places.subList(from, Math.min(from + most, places.size())), wanted);
            }
            free(hidden);
        }
        return found;
    }

    private void add(double[][][] found, INDArray hidden, List<int[]> places, int[][][] wanted) {
        long time = hidden.size(2);
        int[] numbers = places.stream()
                .mapToInt(place -> Math.toIntExact(place[0] * time + place[1]))
                .toArray();
        try (INDArray byTime = hidden.permute(0, 2, 1).dup('c');
                INDArray rows =
                        Nd4j.pullRows(byTime.reshape('c', hidden.size(0) * time, hidden.size(1)), 1, numbers, 'c')) {
            INDArray logits = output.ofRows(rows);
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
        InputPreProcessor before = network.getLayerWiseConfigurations().getInputPreProcess(network.getnLayers() - 1);
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces();
                Workers.Burst burst = Workers.burst()) {
            INDArray hidden = hidden(ids);
            INDArray processed =
                    before == null ? hidden : before.preProcess(hidden, ids.length, LayerWorkspaceMgr.noWorkspaces());
            float[][] next = new float[ids.length][];
            for (int row = 0; row < next.length; row++) {
                try (INDArray numbers =
                        processed.get(NDArrayIndex.interval(row, row + 1)).dup('c')) {
                    next[row] = output.ofToken(numbers.reshape(1, numbers.length()));
                }
            }
            free(hidden);
            return next;
        }
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
