package io.github.dl4jretention.teacher;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.nd4j.autodiff.functions.DifferentialFunction;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.CustomOp;
import org.nd4j.linalg.api.ops.Op;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** A SHA-256 under way over texts, configurations, arrays and SameDiff models. */
final class IdentityDigest {

    private static final Set<String> TRAINING_ONLY =
            Set.of(("iterationCount epochCount iupdater iUpdater updater biasUpdater seed regularization "
                            + "regularizationBias gradientNormalization gradientNormalizationThreshold trainingWorkspaceMode "
                            + "inferenceWorkspaceMode cacheMode backpropType tbpttFwdLength tbpttBackLength miniBatch minimize "
                            + "optimizationAlgo maxNumLineSearchIterations stepFunction constraints idropout iDropout weightNoise "
                            + "weightInit weightInitFn biasInit gainInit attentionDropout residualDropout recompute lossFn "
                            + "validateOutputLayerConfig variables")
                    .split(" "));

    /** Freezing a layer or a vertex changes nothing of what it computes: what is inside counts. */
    private static final Set<String> FROZEN = Set.of(
            "org.deeplearning4j.nn.conf.layers.misc.FrozenLayer",
            "org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop",
            "org.deeplearning4j.nn.conf.graph.FrozenVertex");

    private static final int CHUNK = 1 << 16;

    private final MessageDigest digest = newDigest();

    /** Of a DL4J configuration, in the order of names, without what acts in training only. */
    IdentityDigest configuration(String json) {
        try {
            return node(new ObjectMapper().readTree(json));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("DL4J wrote a configuration that is not JSON", e);
        }
    }

    IdentityDigest text(String text) {
        digest.update(text.getBytes(StandardCharsets.UTF_8));
        digest.update((byte) 0);
        return this;
    }

    IdentityDigest array(INDArray array) {
        return array(array, array.dataType());
    }

    /** @param as what its numbers would be without a change */
    IdentityDigest array(INDArray array, DataType as) {
        text(as + " " + array.length());
        INDArray flat = array.reshape(array.length());
        ByteBuffer buffer = ByteBuffer.allocate(CHUNK * Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        boolean wide = array.dataType() == DataType.DOUBLE || !array.dataType().isFPType();
        for (long start = 0; start < flat.length(); start += CHUNK) {
            INDArray chunk = flat.get(NDArrayIndex.interval(start, Math.min(start + CHUNK, flat.length())));
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
        return this;
    }

    /** Of all that a variable depends on, in the order in which a search from the variable meets it. */
    IdentityDigest sameDiff(SameDiff model, String variable) {
        Deque<String> open = new ArrayDeque<>(List.of(variable));
        Set<String> met = new HashSet<>(open);
        while (!open.isEmpty()) {
            String name = open.remove();
            SDVariable current = model.getVariable(name);
            VariableType type = current.getVariableType();
            // Imported weights are constants until they are made variables to be trained.
            text(name).text((type == VariableType.CONSTANT ? VariableType.VARIABLE : type) + " " + current.dataType());
            if (type == VariableType.ARRAY) {
                SameDiffOp op = Objects.requireNonNull(model.getOps()
                        .get(Objects.requireNonNull(model.getVariables().get(name))
                                .getOutputOfOp()));
                operation(op);
                op.getInputsToOp().stream().filter(met::add).forEach(open::add);
            } else if (type != VariableType.PLACEHOLDER) {
                INDArray values = current.getArr();
                text(Arrays.toString(values.shape())).array(values.dup('c'));
            }
        }
        return this;
    }

    private void operation(SameDiffOp operation) {
        DifferentialFunction function = operation.getOp();
        text(function.opName()).text(operation.getInputsToOp().toString());
        if (function instanceof CustomOp custom) {
            text(Arrays.toString(custom.iArgs()))
                    .text(Arrays.toString(custom.tArgs()))
                    .text(Arrays.toString(custom.bArgs()))
                    .text(Arrays.toString(custom.dArgs()));
        } else if (function instanceof Op op) {
            text(Arrays.toString(op.extraArgs())).text(Arrays.toString(function.getDimensions()));
            text(String.valueOf(function.getScalarValue()));
        }
    }

    private IdentityDigest node(JsonNode node) {
        if (FROZEN.contains(node.path("@class").asText())) {
            return node(node.has("layer") ? node.get("layer") : node.get("underlying"));
        }
        if (node.isObject()) {
            TreeSet<String> names = new TreeSet<>();
            for (Iterator<String> it = node.fieldNames(); it.hasNext(); ) {
                names.add(it.next());
            }
            names.removeAll(TRAINING_ONLY);
            text("{");
            names.forEach(name -> text(name).node(node.get(name)));
            return text("}");
        }
        if (node.isArray()) {
            text("[");
            node.forEach(this::node);
            return text("]");
        }
        return text(node.toString());
    }

    String hex() {
        return HexFormat.of().formatHex(digest.digest());
    }

    private static MessageDigest newDigest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
