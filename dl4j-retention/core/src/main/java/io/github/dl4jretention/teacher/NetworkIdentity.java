package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.FrozenBase;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * SHA-256 of what a network computes: its architecture and its parameters.
 *
 * <p>Settings that act in training only (updaters, learning rates, regularisation, dropout, seed, iteration and epoch
 * counts, workspaces, weight initialisation, truncated backpropagation) do not count, so that a network keeps its
 * identity when it is saved, loaded, or given another learning rate. A change of any bit of a parameter changes it.
 * Identities are 64 lower-case hexadecimal digits.
 */
public final class NetworkIdentity {

    private NetworkIdentity() {}

    /**
     * {@return the identity of a network's configuration and parameters}
     *
     * @param network an initialised network
     */
    public static String sha256(MultiLayerNetwork network) {
        Objects.requireNonNull(network, "network");
        FrozenBase frozen = FrozenBase.whole(network.getLayerWiseConfigurations());
        return frozen == null ? sha256(network.getLayerWiseConfigurations(), network.params()) : frozen.sha256();
    }

    /**
     * {@return the identity of a network's configuration with parameters that may be in half precision: that of the network
     * with the same numbers in its own type}
     *
     * @param conf       of the network
     * @param parameters all of them
     */
    public static String sha256(MultiLayerConfiguration conf, INDArray parameters) {
        // SameDiff layers note the shapes of their parameters when they're first asked for them.
        conf.getConfs().forEach(layer -> layer.getLayer().initializer().numParams(layer));
        return new IdentityDigest()
                .configuration(conf.toJson())
                .array(parameters, conf.getDataType())
                .hex();
    }

    /**
     * {@return the identity of a graph's configuration and parameters}
     *
     * @param graph an initialised graph
     */
    public static String sha256(ComputationGraph graph) {
        Objects.requireNonNull(graph, "graph");
        return new IdentityDigest()
                .configuration(graph.getConfiguration().toJson())
                .array(graph.params())
                .hex();
    }

    /**
     * {@return the identity of the part of a SameDiff model that a variable depends on: operations with their arguments,
     * variables, constants}
     *
     * @param model    with its arrays
     * @param variable its name, the logits
     */
    public static String sha256(SameDiff model, String variable) {
        Objects.requireNonNull(model, "model");
        return new IdentityDigest().sameDiff(model, variable).hex();
    }

    /**
     * {@return the identity of a list of texts, for what is made of networks}
     *
     * @param parts in their order, identities among them
     */
    public static String sha256(List<String> parts) {
        IdentityDigest digest = new IdentityDigest();
        parts.forEach(digest::text);
        return digest.hex();
    }
}
