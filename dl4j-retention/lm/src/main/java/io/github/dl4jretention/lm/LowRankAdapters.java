package io.github.dl4jretention.lm;

import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.lm.huggingface.AdapterFolder;
import io.github.dl4jretention.teacher.Teacher;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;

/**
 * Low-rank adapters (LoRA) for any network: beside each adapted weight W {@code [nIn, nOut]} two small matrices train,
 * {@code x W + scale (dropout(x) D) U} with D {@code [nIn, rank]}, U {@code [rank, nOut]} and
 * {@code scale = alpha / rank}, and everything else is frozen.
 *
 * <pre>{@code
 * MultiLayerNetwork adapted = LowRankAdapters.attach(network, LowRankAdapters.rank(8).alpha(16).layers("attention"));
 * try (Teacher teacher = LowRankAdapters.teacher(adapted)) {
 *     MultiLayerNetwork student = Retention.attach(Retention.withUpdater(adapted, new Adam(1e-4)), conf, teacher);
 *     student.fit(new TeacherIterator(train, teacher), epochs);
 *     MultiLayerNetwork merged = LowRankAdapters.merge(student);
 * }
 * }</pre>
 *
 * <p><b>Memory.</b> The network's parameters are the adapters' and nothing else: so are its gradients, its updater's
 * state, and what {@code ModelSerializer} and checkpoints write. The frozen weights are the base network's own, which are
 * used where they lie, and W with its adapter is never computed. The {@link #teacher} is the base, in the same memory. So
 * keep the base open, and don't train it: a teacher notices that, and names the layer.
 *
 * <p><b>A base in half precision</b>, which {@link LanguageModel#loadFrozen} loads, takes half the memory, for the student and its
 * teacher together. It's widened a decoder block at a time, or a part of the vocabulary, and gives the same numbers as the
 * same weights in FLOAT: the SHA-256 is the same too, so adapters fit both.
 *
 * <p><b>Which weights.</b> By the names of a {@link io.github.dl4jretention.lm.layers.DecoderBlock}'s projections: q, k, v, o,
 * gate, up, down, or query, key, value, projection; {@code attention} is q, k, v and o, {@code feedforward} gate, up and
 * down. {@code dense} is W of each DenseLayer; {@code input} and {@code recurrent} are the weights of each
 * {@link io.github.dl4jretention.lm.layers.NativeLSTM}, {@code lstm} both; {@code output} is W of the output layer.
 * {@code all}, the default, is all of them but the output layer's, as PEFT has it. DL4J's own LSTM has no adapters: make it
 * native first, by {@code NativeLayers.of}.
 *
 * <p><b>A copy of the network</b> (attach, detach, withUpdater, clone, a file) shares the base; it is found by the base's
 * SHA-256, which the configuration names, as long as this process has it in memory. {@link #restore} loads a file in another
 * process.
 *
 * <p>Sources: Hu et al., "LoRA", https://arxiv.org/abs/2106.09685, section 4.1; for {@code rankStabilized} Kalajdzievski,
 * https://arxiv.org/abs/2312.03732, theorem 3.2. D starts as a uniform sample of {@code [-1/sqrt(nIn), 1/sqrt(nIn)]}, as
 * PEFT's does, and U as 0.
 */
public final class LowRankAdapters {

    private LowRankAdapters() {}

    /**
     * {@return settings of adapters of a rank: alpha is the rank, layers are all, no dropout, seed 0}
     *
     * @param rank columns of D, at least 1
     * @throws IllegalArgumentException if it's below 1
     */
    public static Settings rank(int rank) {
        return new Settings(new LowRank(rank, rank, false, 0), List.of("all"), 0);
    }

    /** Which weights get adapters, and how these are made. Each method gives new settings. */
    public static final class Settings {

        private final LowRank adapter;
        private final List<String> layers;
        private final long seed;

        private Settings(LowRank adapter, List<String> layers, long seed) {
            this.adapter = adapter;
            this.layers = layers;
            this.seed = seed;
        }

        private Settings with(LowRank adapter) {
            return new Settings(adapter, layers, seed);
        }

        /**
         * @param alpha the scale is {@code alpha / rank}; a finite number; default the rank
         * @return new settings
         * @throws IllegalArgumentException if it isn't finite
         */
        public Settings alpha(double alpha) {
            return with(new LowRank(adapter.rank(), alpha, adapter.isRankStabilized(), adapter.dropout()));
        }

        /**
         * @param rate how likely a number of an adapter's input is dropped in training, at least 0 and below 1; default 0.
         *     Those that stay are divided by {@code 1 - rate}. The output layer's adapter has none, and neither have
         *     recurrent weights
         * @return new settings
         * @throws IllegalArgumentException if it's out of its range
         */
        public Settings dropout(double rate) {
            return with(new LowRank(adapter.rank(), adapter.alpha(), adapter.isRankStabilized(), rate));
        }

        /**
         * @param rankStabilized whether the scale is {@code alpha / sqrt(rank)} (rsLoRA); default false
         * @return new settings
         */
        public Settings rankStabilized(boolean rankStabilized) {
            return with(new LowRank(adapter.rank(), adapter.alpha(), rankStabilized, adapter.dropout()));
        }

        /**
         * @param layers names of weights or of groups of them, see {@link LowRankAdapters}; default {@code all}
         * @return new settings
         */
        public Settings layers(String... layers) {
            return new Settings(adapter, List.of(layers), seed);
        }

        /**
         * @param seed of D's first values; default 0
         * @return new settings
         */
        public Settings seed(long seed) {
            return new Settings(adapter, layers, seed);
        }

        LowRank adapter() {
            return adapter;
        }

        List<String> layers() {
            return layers;
        }

        long seed() {
            return seed;
        }

        @Override
        public String toString() {
            return adapter + " beside " + layers;
        }
    }

    /**
     * {@return a network with adapters, which computes what the base does until it's trained} It has the base's updaters, and
     * begins at iteration 0.
     *
     * @param base     a network without retention; its parameters are shared: keep it open, and don't train it
     * @param settings of the adapters
     * @throws IllegalArgumentException if the base has adapters or retention, if no weight has one of the names, or if a layer
     *     can't be frozen this way; the message names it
     */
    public static MultiLayerNetwork attach(MultiLayerNetwork base, Settings settings) {
        Objects.requireNonNull(settings, "settings");
        return AdaptedNetworks.attach(base, AdaptedNetworks.base(base), new AdapterChoice(settings));
    }

    /**
     * {@return the same as {@link #attach(MultiLayerNetwork, Settings)}, of a graph}
     *
     * @param base     a graph without retention; its parameters are shared: keep it open, and don't train it
     * @param settings of the adapters
     * @throws IllegalArgumentException as there, or if a vertex that is no layer has parameters
     */
    public static ComputationGraph attach(ComputationGraph base, Settings settings) {
        Objects.requireNonNull(settings, "settings");
        return AdaptedNetworks.attach(base, AdaptedNetworks.base(base), new AdapterChoice(settings));
    }

    /**
     * {@return whether a network has adapters}
     *
     * @param network any
     */
    public static boolean isAdapted(MultiLayerNetwork network) {
        return AdaptedNetworks.isAdapted(network);
    }

    /**
     * {@return whether a graph has adapters}
     *
     * @param graph any
     */
    public static boolean isAdapted(ComputationGraph graph) {
        return AdaptedNetworks.isAdapted(graph);
    }

    /**
     * {@return the network that the adapters were attached to, in the same memory: the adapted network with its adapters off}
     * Don't train it.
     *
     * @param adapted with adapters, a student too
     * @throws IllegalArgumentException if it has none
     */
    public static MultiLayerNetwork base(MultiLayerNetwork adapted) {
        return AdaptedNetworks.network(AdaptedNetworks.requireBase(adapted));
    }

    /**
     * {@return the same as {@link #base(MultiLayerNetwork)}, of a graph}
     *
     * @param adapted with adapters, a student too
     * @throws IllegalArgumentException if it has none
     */
    public static ComputationGraph base(ComputationGraph adapted) {
        return AdaptedNetworks.requireBase(adapted).graph();
    }

    /**
     * {@return the base as a teacher, in the memory that it has already} Its identity is that of {@code Teacher.of(base)}. It
     * throws a {@link io.github.dl4jretention.teacher.TeacherException} that names the layer as soon as one of the base's
     * parameters has changed.
     *
     * @param adapted with adapters, a student too
     * @throws IllegalArgumentException if it has none
     */
    public static Teacher teacher(MultiLayerNetwork adapted) {
        return Teacher.sharing(base(adapted));
    }

    /**
     * {@return the same as {@link #teacher(MultiLayerNetwork)}, of a graph}
     *
     * @param adapted with adapters, a student too
     * @param outputs names of the outputs to teach; default: all
     * @throws IllegalArgumentException if it has none, or an output doesn't exist or isn't a softmax with cross-entropy
     */
    public static Teacher teacher(ComputationGraph adapted, String... outputs) {
        return Teacher.sharing(base(adapted), outputs);
    }

    /**
     * {@return a network like the base, with weights {@code W + scale D U} of its own} The base and the adapted network stay
     * as they are.
     *
     * @param adapted with adapters, a student too
     * @throws IllegalArgumentException if it has none, or if the output layer with an adapter shares the embedding's weights,
     *     which the adapter isn't for
     */
    public static MultiLayerNetwork merge(MultiLayerNetwork adapted) {
        return AdaptedNetworks.merge(adapted);
    }

    /**
     * {@return the same as {@link #merge(MultiLayerNetwork)}, of a graph}
     *
     * @param adapted with adapters, a student too
     * @throws IllegalArgumentException as there
     */
    public static ComputationGraph merge(ComputationGraph adapted) {
        return AdaptedNetworks.merge(adapted);
    }

    /**
     * Loads a network with adapters that DL4J's {@code ModelSerializer} has saved, a student too, with its updater's state.
     *
     * @param file of the adapted network
     * @param base the network that the adapters were attached to, which it shares
     * @return the adapted network
     * @throws IOException if the file can't be read
     * @throws IllegalStateException if the adapters belong to another base; the message has its SHA-256
     */
    public static MultiLayerNetwork restore(File file, MultiLayerNetwork base) throws IOException {
        FrozenBase held = AdaptedNetworks.base(base);
        MultiLayerNetwork adapted = ModelSerializer.restoreMultiLayerNetwork(file);
        AdaptedNetworks.requireSame(AdaptedNetworks.requireBase(adapted), held);
        return adapted;
    }

    /**
     * Loads a graph with adapters, as {@link #restore(File, MultiLayerNetwork)} does a network.
     *
     * @param file of the adapted graph
     * @param base the graph that the adapters were attached to, which it shares
     * @return the adapted graph
     * @throws IOException if the file can't be read
     * @throws IllegalStateException if the adapters belong to another base; the message has its SHA-256
     */
    public static ComputationGraph restore(File file, ComputationGraph base) throws IOException {
        FrozenBase held = AdaptedNetworks.base(base);
        ComputationGraph adapted = ModelSerializer.restoreComputationGraph(file);
        AdaptedNetworks.requireSame(AdaptedNetworks.requireBase(adapted), held);
        return adapted;
    }

    /**
     * Writes the adapters of a network as a folder of PEFT's kind: adapter_config.json and adapter_model.safetensors, whose
     * modules are called after layers and weights, such as {@code 1.query}. For a {@link LanguageModel} use
     * {@link LanguageModel#saveAdapters}, which calls them as PEFT does, so that Python loads them.
     *
     * @param adapted with adapters, a student too
     * @param folder  not there yet, or empty; it appears at once and complete, or not at all
     * @throws IOException if it has files or can't be written
     * @throws IllegalArgumentException if the network has no adapters
     */
    public static void save(MultiLayerNetwork adapted, Path folder) throws IOException {
        AdapterFolder.write(
                folder,
                new AdapterFolder.Contents(
                        AdaptedNetworks.adapters(adapted),
                        AdaptedNetworks.requireBase(adapted).sha256()),
                AdaptedNetworks.shapes(AdaptedNetworks.requireBase(adapted)));
    }

    /**
     * Writes the adapters of a graph, as {@link #save(MultiLayerNetwork, Path)} does a network's; modules are called after
     * vertices.
     *
     * @param adapted with adapters, a student too
     * @param folder  not there yet, or empty
     * @throws IOException if it has files or can't be written
     * @throws IllegalArgumentException if the graph has no adapters
     */
    public static void save(ComputationGraph adapted, Path folder) throws IOException {
        AdapterFolder.write(
                folder,
                new AdapterFolder.Contents(
                        AdaptedNetworks.adapters(adapted),
                        AdaptedNetworks.requireBase(adapted).sha256()),
                AdaptedNetworks.shapes(base(adapted)));
    }

    /**
     * {@return a network with the adapters of a folder that {@link #save(MultiLayerNetwork, Path)} has written}
     *
     * @param base   the network that they belong to, which is shared
     * @param folder with adapter_config.json and adapter_model.safetensors
     * @throws IOException if a file is missing, damaged or doesn't fit the base, if the adapters are another base's, or if
     *     they need what this library doesn't compute; the message names it
     */
    public static MultiLayerNetwork load(MultiLayerNetwork base, Path folder) throws IOException {
        FrozenBase held = AdaptedNetworks.base(base);
        AdapterFolder.Source loaded = AdapterFolder.read(folder, held.sha256(), AdaptedNetworks.shapes(held));
        return AdaptedNetworks.attach(base, held, loaded);
    }

    /**
     * {@return a graph with the adapters of a folder that {@link #save(ComputationGraph, Path)} has written}
     *
     * @param base   the graph that they belong to, which is shared
     * @param folder with adapter_config.json and adapter_model.safetensors
     * @throws IOException as {@link #load(MultiLayerNetwork, Path)} does
     */
    public static ComputationGraph load(ComputationGraph base, Path folder) throws IOException {
        FrozenBase held = AdaptedNetworks.base(base);
        AdapterFolder.Source loaded = AdapterFolder.read(folder, held.sha256(), AdaptedNetworks.shapes(base));
        return AdaptedNetworks.attach(base, held, loaded);
    }
}
