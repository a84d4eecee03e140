package io.github.dl4jretention.loss.samediff;

import io.github.dl4jretention.loss.LabelKind;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.Map;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.autodiff.samediff.SDIndex;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;

/** The SameDiff graph of a {@link RetentionOutputLayer} on rows, a token each. */
public final class SameDiffLayerLoss {

    public static final String ACTIVATIONS = "softmax";
    static final String CROSS_ENTROPY = "crossEntropy";
    static final String DIVERGENCE = "divergence";
    static final String AGREEMENT = "agreement";
    static final String WEIGHTS = "weights";
    static final String DIVERGENCE_WEIGHTS = "divergenceWeights";
    static final String FACTOR = "factor";

    private SameDiffLayerLoss() {}

    /**
     * Defines projection and loss, and where student and teacher hold the same class most probable, which is computed
     * only on request. Adds the placeholders "weights" and "divergenceWeights" {@code [tokens, 1]} and
     * "factor", the scalar {@code lambda T^2}.
     *
     * @param input  {@code [tokens, nIn]}
     * @param labels {@code [tokens, C]} of the kind that C says
     * @return the summed loss
     */
    public static SDVariable define(
            RetentionOutputLayer layer,
            SameDiff sd,
            SDVariable input,
            SDVariable labels,
            Map<String, SDVariable> parameters) {
        DataType type = labels.dataType();
        SDVariable logits = logits(layer, input, parameters);
        logits = logits.dataType() == type ? logits : logits.castTo(type);
        sd.nn.softmax(ACTIVATIONS, logits, 1);

        long vocabulary = layer.hasParameters() ? layer.getNOut() : input.getShape()[1];
        long size = labels.getShape()[1];
        LabelKind kind = LabelKind.of(size, vocabulary, "size " + size);
        long targetSize = kind.targetSize(vocabulary);
        SDVariable target = columns(labels, 0, targetSize);
        if (kind.isClassId()) {
            target = sd.oneHot(target.castTo(DataType.INT32).reshape(-1), (int) vocabulary, -1, 1.0, 0.0, type);
        }
        SameDiffTokenLoss tokenLoss = new SameDiffTokenLoss(sd, layer.getRetention(), logits);
        SDVariable weighted =
                tokenLoss.crossEntropy(target).rename(CROSS_ENTROPY).mul(sd.placeHolder(WEIGHTS, type, -1, 1));
        if (kind.hasTeacher()) {
            SDVariable teacher = columns(labels, targetSize, targetSize + vocabulary);
            SDVariable divergence = tokenLoss.divergence(teacher).rename(DIVERGENCE);
            sd.eq(sd.argmax(logits, true, 1), sd.argmax(teacher, true, 1))
                    .castTo(type)
                    .rename(AGREEMENT);
            weighted = weighted.add(
                    divergence.mul(sd.placeHolder(FACTOR, type)).mul(sd.placeHolder(DIVERGENCE_WEIGHTS, type, -1, 1)));
        }
        SDVariable loss = weighted.sum();
        loss.markAsLoss();
        return loss;
    }

    private static SDVariable logits(RetentionOutputLayer layer, SDVariable input, Map<String, SDVariable> parameters) {
        SDVariable projected =
                layer.hasParameters() ? input.mmul(parameters.get(DefaultParamInitializer.WEIGHT_KEY)) : input;
        return layer.hasBias() ? projected.add(parameters.get(DefaultParamInitializer.BIAS_KEY)) : projected;
    }

    private static SDVariable columns(SDVariable labels, long from, long to) {
        return labels.get(SDIndex.all(), SDIndex.interval(from, to));
    }
}
