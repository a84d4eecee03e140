package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The adapters of a block, by the names of the weights that they are beside. */
final class FloatAdapters {

    /** Seeds of a pass before an adapter's: those of attention and of the two branches. */
    static final int SEEDS_BEFORE = 16;

    private final Map<String, FloatLowRank> all = new LinkedHashMap<>();
    private final int mostRank;
    private final int mostInputs;
    private final int ranks;

    FloatAdapters(List<LowRankWeight> weights) {
        int rank = 0;
        int inputs = 0;
        int sum = 0;
        for (LowRankWeight weight : weights) {
            FloatLowRank adapter = new FloatLowRank(weight, SEEDS_BEFORE + all.size());
            all.put(weight.weight(), adapter);
            rank = Math.max(rank, adapter.rank());
            inputs = Math.max(inputs, adapter.drops() ? adapter.inputs() : 0);
            sum += adapter.rank();
        }
        mostRank = rank;
        mostInputs = inputs;
        ranks = sum;
    }

    boolean isEmpty() {
        return all.isEmpty();
    }

    void requireOpen() {
        all.values().forEach(FloatLowRank::requireOpen);
    }

    /** {@return numbers of a token for the working memory of a pass} */
    long memory() {
        return (long) mostRank + mostInputs;
    }

    /** {@return numbers of a token for the gradients within all adapters} */
    long gradientMemory() {
        return ranks;
    }

    /** Working memory of some tokens. */
    final class Memory {

        private final FloatRows low;
        private final FloatRows dropped;

        Memory(FloatArena arena, int tokens) {
            low = arena.take(tokens, mostRank);
            dropped = arena.take(tokens, mostInputs);
        }
    }

    /** The gradients within the adapters, of all tokens. */
    final class Gradients {

        private final Map<String, FloatRows> low = new LinkedHashMap<>();

        Gradients(FloatArena arena, int tokens) {
            all.forEach((name, adapter) -> low.put(name, arena.take(tokens, adapter.rank())));
        }
    }

    private static @Nullable Long seed(Sequences sequences) {
        return sequences.training() ? sequences.seed() : null;
    }

    /** Adds what an adapter gives, if the weight has one. */
    void forward(String weight, Sequences sequences, FloatRows x, FloatRows y, Memory memory, int from, int to) {
        FloatLowRank adapter = all.get(weight);
        if (adapter != null) {
            adapter.forward(x, y, memory.low, memory.dropped, seed(sequences), from, to);
        }
    }

    /** Adds the adapter's share of the input's gradient, if the weight has one. */
    void backward(
            String weight,
            Sequences sequences,
            FloatRows dy,
            FloatRows dx,
            Gradients gradients,
            Memory memory,
            int from,
            int to) {
        FloatLowRank adapter = all.get(weight);
        if (adapter != null) {
            FloatRows low = requireNonNull(gradients.low.get(weight));
            FloatRows dropped = adapter.drops() ? memory.dropped.rows(from, to) : memory.dropped;
            adapter.backward(dy, dx, low, dropped, seed(sequences), from, to);
        }
    }

    /** What the weights of a block read and what their results' gradients are. */
    interface Products {

        /** Rows that a weight reads. */
        FloatRows input(String weight);

        /** The gradient of what it gives. */
        FloatRows gradient(String weight);
    }

    /**
     * Sets the gradients of one thread's share of the adapters: each is one thread's, so that the result doesn't depend on
     * how many there are.
     *
     * @param memory of all tokens
     */
    void gradients(
            Sequences sequences,
            Products products,
            Gradients gradients,
            Memory memory,
            Map<String, INDArray> views,
            int part,
            int parts) {
        List<String> names = new ArrayList<>(all.keySet());
        for (int i = part; i < names.size(); i += parts) {
            String name = names.get(i);
            requireNonNull(all.get(name))
                    .gradients(
                            products.input(name),
                            products.gradient(name),
                            requireNonNull(gradients.low.get(name)),
                            memory.low,
                            memory.dropped,
                            seed(sequences),
                            views);
        }
    }
}
