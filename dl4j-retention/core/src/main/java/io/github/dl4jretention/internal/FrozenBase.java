package io.github.dl4jretention.internal;

import java.lang.ref.WeakReference;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A network whose parameters others use where they lie: networks with adapters have no copy of the weights beside which
 * their adapters are. Their layers' configurations name the base by its SHA-256, so that copies of them, by JSON, by
 * serialization or from a file, find it as long as this process has it in memory.
 *
 * <p>A base's parameters may be in half precision, one copy for a student and its teacher. A layer's are widened before each
 * use, into memory that serves one layer after the other: there is as much of it as there are threads that use it at once.
 */
public final class FrozenBase {

    private static final Map<String, List<WeakReference<FrozenBase>>> KNOWN = new HashMap<>();

    private static final AtomicLong MADE = new AtomicLong();

    private final long handle = MADE.incrementAndGet();
    private final String sha256;
    private final @Nullable MultiLayerConfiguration network;
    private final @Nullable ComputationGraphConfiguration graph;
    private final INDArray parameters;
    private final Map<String, INDArray> parts = new LinkedHashMap<>();

    /** Memory that nobody uses at present. */
    private final Deque<INDArray> free = new ArrayDeque<>();

    private FrozenBase(
            String sha256,
            @Nullable MultiLayerConfiguration network,
            @Nullable ComputationGraphConfiguration graph,
            INDArray parameters) {
        this.sha256 = sha256;
        this.network = network;
        this.graph = graph;
        this.parameters = parameters;
    }

    /**
     * {@return a network as a base, which this process finds by its identity while somebody holds what this returns}
     *
     * @param network whose parameters are used, not copied
     * @param sha256  its identity
     */
    public static FrozenBase of(MultiLayerNetwork network, String sha256) {
        FrozenBase base = new FrozenBase(
                sha256, Configurations.copy(network.getLayerWiseConfigurations()), null, network.params());
        for (int i = 0; i < network.getnLayers(); i++) {
            base.add(Integer.toString(i), network.getLayer(i).params());
        }
        return base.known();
    }

    /**
     * {@return a graph as a base}
     *
     * @param graph  whose parameters are used, not copied
     * @param sha256 its identity
     */
    public static FrozenBase of(ComputationGraph graph, String sha256) {
        FrozenBase base = new FrozenBase(sha256, null, Configurations.copy(graph.getConfiguration()), graph.params());
        for (GraphVertex vertex : graph.getVertices()) {
            if (vertex.hasLayer()) {
                base.add(vertex.getVertexName(), vertex.getLayer().params());
            }
        }
        return base.known();
    }

    /**
     * {@return a network of FLOAT with parameters in half precision as a base}
     *
     * @param network its configuration
     * @param halves  all its parameters, FLOAT16 or BFLOAT16
     * @param widened whether a layer's parameters are held in FLOAT: those few that no layer widens by itself
     * @param sha256  the identity of the network with the same numbers in FLOAT
     */
    public static FrozenBase ofHalves(
            MultiLayerConfiguration network, INDArray halves, Predicate<Layer> widened, String sha256) {
        FrozenBase base = new FrozenBase(sha256, Configurations.copy(network), null, halves);
        INDArray line = halves.reshape(halves.length());
        long from = 0;
        for (int i = 0; i < network.getConfs().size(); i++) {
            NeuralNetConfiguration conf = network.getConf(i);
            long to = from + conf.getLayer().initializer().numParams(conf);
            if (to > from) {
                INDArray part = line.get(NDArrayIndex.interval(from, to));
                base.add(Integer.toString(i), widened.test(conf.getLayer()) ? part.castTo(DataType.FLOAT) : part);
            }
            from = to;
        }
        return base.known();
    }

    /**
     * {@return the base that a network is, all of whose layers are frozen ones of it, without adapters; null if it's another}
     *
     * @param network a configuration
     */
    public static @Nullable FrozenBase whole(MultiLayerConfiguration network) {
        FrozenBase base = null;
        for (NeuralNetConfiguration conf : network.getConfs()) {
            if (conf.getLayer() instanceof HeldLayer layer) {
                if (layer.isAdapted()) {
                    return null;
                }
                base = layer.base();
            } else if (conf.getLayer().initializer().numParams(conf) > 0) {
                return null;
            }
        }
        return base;
    }

    private void add(String name, @Nullable INDArray part) {
        if (part != null && !part.isEmpty()) {
            parts.put(name, part);
        }
    }

    private FrozenBase known() {
        synchronized (KNOWN) {
            List<WeakReference<FrozenBase>> same = KNOWN.computeIfAbsent(sha256, key -> new ArrayList<>());
            for (WeakReference<FrozenBase> reference : same) {
                FrozenBase present = reference.get();
                if (present != null && present.parameters == parameters) {
                    return present;
                }
            }
            same.removeIf(reference -> reference.get() == null);
            same.add(0, new WeakReference<>(this));
            return this;
        }
    }

    /**
     * {@return a base of an identity: the one of a handle, or else, as after loading a file, the latest that's open}
     *
     * @param sha256 its identity
     * @param handle of the one that's meant; 0 for none
     * @throws IllegalStateException if this process doesn't have it in memory
     */
    public static FrozenBase named(String sha256, long handle) {
        synchronized (KNOWN) {
            FrozenBase latest = null;
            for (WeakReference<FrozenBase> reference : KNOWN.getOrDefault(sha256, List.of())) {
                FrozenBase base = reference.get();
                if (base != null && base.handle == handle) {
                    return base;
                }
                if (base != null && latest == null && !base.parameters.wasClosed()) {
                    latest = base;
                }
            }
            if (latest != null) {
                return latest;
            }
            throw new IllegalStateException("base: expected the network with SHA-256 " + sha256
                    + " in memory, which the adapters belong to, got none; load it first, and give it to"
                    + " LowRankAdapters.restore together with the file");
        }
    }

    /** {@return all parameters, in the type that they are held in} */
    public INDArray parameters() {
        return parameters;
    }

    /** {@return the base's identity} */
    public String sha256() {
        return sha256;
    }

    /**
     * {@return the parameters of a layer, a view}
     *
     * @param layer its index, or the vertex's name
     */
    public INDArray parameters(String layer) {
        INDArray part = parts.get(layer);
        if (part == null) {
            throw new IllegalStateException(
                    "base: expected a layer \"" + layer + "\" with parameters, got " + parts.keySet());
        }
        if (parameters.wasClosed()) {
            throw new IllegalStateException("base: expected parameters that are there, got a network that was closed;"
                    + " keep the base open as long as a network with adapters uses it");
        }
        return part;
    }

    /** {@return whether parameters are in half precision} */
    public boolean isHalf() {
        return parameters.dataType() == DataType.FLOAT16 || parameters.dataType() == DataType.BFLOAT16;
    }

    /** A layer's parameters, in memory that the next layer will use. */
    public final class Widened implements AutoCloseable {

        private final INDArray memory;

        private Widened(INDArray memory) {
            this.memory = memory;
        }

        /** {@return the parameters, FLOAT, and whatever is behind them} */
        public INDArray array() {
            return memory;
        }

        @Override
        public void close() {
            synchronized (free) {
                free.push(memory);
            }
        }
    }

    /**
     * {@return a layer's parameters in FLOAT, until it's closed}
     *
     * @param layer with parameters in half precision
     */
    public Widened widened(String layer) {
        INDArray half = parameters(layer);
        INDArray memory;
        synchronized (free) {
            memory = free.poll();
        }
        // Layers that widen some of their parameters themselves, tables of tokens above all, don't ask for it.
        if (memory != null && memory.length() < half.length()) {
            memory.close();
            memory = null;
        }
        if (memory == null) {
            memory = Nd4j.createUninitializedDetached(DataType.FLOAT, half.length());
        }
        memory.get(NDArrayIndex.interval(0, half.length())).assign(half);
        return new Widened(memory);
    }

    /** {@return the configuration of the network} */
    public MultiLayerConfiguration configuration() {
        if (network == null) {
            throw new IllegalStateException("base: expected a MultiLayerNetwork, got a ComputationGraph");
        }
        return Configurations.copy(network);
    }

    /** {@return a number that no other base of this process has; it means nothing in another} */
    public long handle() {
        return handle;
    }

    /** {@return how many numbers its parameters are} */
    public long length() {
        return parameters.length();
    }

    /**
     * {@return the base as a network of its own, with these parameters, not a copy}
     *
     * @throws IllegalStateException if it's a graph
     */
    public MultiLayerNetwork network() {
        MultiLayerNetwork made = new MultiLayerNetwork(configuration());
        made.init(parameters, false);
        return made;
    }

    /**
     * {@return a network like the base, with a copy of its parameters in its own type}
     *
     * @throws IllegalStateException if it's a graph
     */
    public MultiLayerNetwork copy() {
        MultiLayerNetwork made = new MultiLayerNetwork(configuration());
        DataType type = made.getLayerWiseConfigurations().getDataType();
        made.init(isHalf() ? parameters.castTo(type) : parameters.dup(), false);
        return made;
    }

    /**
     * {@return the base as a graph of its own, with these parameters, not a copy}
     *
     * @throws IllegalStateException if it's a MultiLayerNetwork
     */
    public ComputationGraph graph() {
        if (graph == null) {
            throw new IllegalStateException("base: expected a ComputationGraph, got a MultiLayerNetwork");
        }
        ComputationGraph made = new ComputationGraph(Configurations.copy(graph));
        made.init(parameters, false);
        return made;
    }
}
