package io.github.dl4jretention.teacher;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * SHA-256 of what a network computes: its architecture and its parameters.
 *
 * <p>Settings that act in training only (updaters, learning rates, regularisation, dropout, seed, iteration and epoch
 * counts, workspaces, weight initialisation, truncated backpropagation) do not count, so that a network keeps its
 * identity when it is saved, loaded, or given another learning rate. A change of any bit of a parameter changes it.
 */
public final class NetworkIdentity {

    private static final Set<String> TRAINING_ONLY = Set.of(
            "iterationCount",
            "epochCount",
            "iupdater",
            "iUpdater",
            "updater",
            "biasUpdater",
            "seed",
            "regularization",
            "regularizationBias",
            "gradientNormalization",
            "gradientNormalizationThreshold",
            "trainingWorkspaceMode",
            "inferenceWorkspaceMode",
            "cacheMode",
            "backpropType",
            "tbpttFwdLength",
            "tbpttBackLength",
            "miniBatch",
            "minimize",
            "optimizationAlgo",
            "maxNumLineSearchIterations",
            "stepFunction",
            "constraints",
            "idropout",
            "iDropout",
            "weightNoise",
            "weightInit",
            "weightInitFn",
            "biasInit",
            "gainInit",
            "lossFn",
            "validateOutputLayerConfig",
            "variables");

    private static final int CHUNK = 1 << 16;

    private NetworkIdentity() {}

    /**
     * @param network an initialised network
     * @return 64 lower-case hexadecimal digits
     */
    public static String sha256(MultiLayerNetwork network) {
        Objects.requireNonNull(network, "network");
        MessageDigest digest = newDigest();
        update(digest, tree(network.getLayerWiseConfigurations().toJson()));
        update(digest, network.params());
        return HexFormat.of().formatHex(digest.digest());
    }

    private static JsonNode tree(String json) {
        try {
            return new ObjectMapper().readTree(json);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("DL4J wrote a configuration that is not JSON", e);
        }
    }

    private static void update(MessageDigest digest, JsonNode node) {
        if (node.isObject()) {
            TreeSet<String> names = new TreeSet<>();
            for (Iterator<String> it = node.fieldNames(); it.hasNext(); ) {
                names.add(it.next());
            }
            names.removeAll(TRAINING_ONLY);
            update(digest, "{");
            for (String name : names) {
                update(digest, name);
                update(digest, node.get(name));
            }
            update(digest, "}");
        } else if (node.isArray()) {
            update(digest, "[");
            node.forEach(child -> update(digest, child));
            update(digest, "]");
        } else {
            update(digest, node.toString());
        }
    }

    private static void update(MessageDigest digest, String text) {
        digest.update(text.getBytes(StandardCharsets.UTF_8));
        digest.update((byte) 0);
    }

    private static void update(MessageDigest digest, INDArray parameters) {
        update(digest, parameters.dataType() + " " + parameters.length());
        INDArray flat = parameters.reshape(parameters.length());
        ByteBuffer buffer = ByteBuffer.allocate(CHUNK * Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        boolean wide = parameters.dataType() == DataType.DOUBLE;
        for (long start = 0; start < flat.length(); start += CHUNK) {
            INDArray chunk = flat.get(
                    org.nd4j.linalg.indexing.NDArrayIndex.interval(start, Math.min(start + CHUNK, flat.length())));
            buffer.clear();
            if (wide) {
                for (double value : chunk.toDoubleVector()) {
                    buffer.putDouble(value);
                }
            } else {
                for (float value : chunk.toFloatVector()) {
                    buffer.putFloat(value);
                }
            }
            digest.update(buffer.flip());
        }
    }

    private static MessageDigest newDigest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
