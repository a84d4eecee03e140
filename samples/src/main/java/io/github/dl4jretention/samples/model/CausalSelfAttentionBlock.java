package io.github.dl4jretention.samples.model;

import java.util.Map;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * One pre-norm transformer block with causal self-attention: {@code x + attention(norm(x))}, then
 * {@code x + feedForward(norm(x))}, the feed-forward part with one ReLU layer four times as wide. Input and output are
 * {@code [batch, size, time]}.
 */
public class CausalSelfAttentionBlock extends SequenceSameDiffLayer {

    private static final float MASKED = -1e9f;
    private static final int WIDENING = 4;

    private int heads;

    /** For JSON. */
    CausalSelfAttentionBlock() {}

    /**
     * @param size  width of the model, a multiple of {@code heads}
     * @param heads number of attention heads
     */
    public CausalSelfAttentionBlock(int size, int heads) {
        super(size);
        if (size % heads != 0) {
            throw new IllegalArgumentException("size: expected a multiple of heads = " + heads + ", got " + size);
        }
        this.heads = heads;
    }

    public int getHeads() {
        return heads;
    }

    public void setHeads(int heads) {
        this.heads = heads;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return inputType;
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        long size = getSize();
        params.addBiasParam("attentionGain", size);
        params.addBiasParam("attentionBias", size);
        params.addWeightParam("query", size, size);
        params.addWeightParam("key", size, size);
        params.addWeightParam("value", size, size);
        params.addWeightParam("projection", size, size);
        params.addBiasParam("feedForwardGain", size);
        params.addBiasParam("feedForwardBias", size);
        params.addWeightParam("widen", size, WIDENING * size);
        params.addBiasParam("widenBias", WIDENING * size);
        params.addWeightParam("narrow", WIDENING * size, size);
        params.addBiasParam("narrowBias", size);
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        params.forEach((name, array) -> {
            if (name.endsWith("Gain")) {
                array.assign(1.0);
            } else if (name.endsWith("Bias")) {
                array.assign(0.0);
            } else {
                initWeights((int) array.size(0), (int) array.size(1), WeightInit.XAVIER, array);
            }
        });
    }

    @Override
    protected SDVariable defineRows(SameDiff sd, SDVariable rows, long time, Map<String, SDVariable> params) {
        SDVariable normal = norm(sd, rows, params.get("attentionGain"), params.get("attentionBias"));
        SDVariable query = splitHeads(project("query", normal, params), time);
        SDVariable key = splitHeads(project("key", normal, params), time);
        SDVariable value = splitHeads(project("value", normal, params), time);
        double scale = 1.0 / Math.sqrt((double) getSize() / heads);
        SDVariable scores = sd.mmul(query, key, false, true, false).mul(scale).add(causalMask(sd, rows, time));
        SDVariable mixed =
                sd.mmul(sd.nn.softmax(scores, -1), value).permute(0, 2, 1, 3).reshape(-1, getSize());
        SDVariable attended = rows.add(project("projection", mixed, params));

        SDVariable second = norm(sd, attended, params.get("feedForwardGain"), params.get("feedForwardBias"));
        SDVariable wide = sd.nn.relu(second.mmul(params.get("widen")).add(params.get("widenBias")), 0);
        return attended.add(wide.mmul(params.get("narrow")).add(params.get("narrowBias")));
    }

    /** Rows times a weight matrix of the attention: "query", "key", "value" or "projection". */
    SDVariable project(String name, SDVariable rows, Map<String, SDVariable> params) {
        return rows.mmul(params.get(name));
    }

    private SDVariable splitHeads(SDVariable rows, long time) {
        return rows.reshape(-1, time, heads, getSize() / heads).permute(0, 2, 1, 3);
    }

    private static SDVariable causalMask(SameDiff sd, SDVariable like, long time) {
        INDArray mask = Nd4j.create(DataType.FLOAT, 1, 1, time, time);
        for (long i = 0; i < time; i++) {
            for (long j = i + 1; j < time; j++) {
                mask.putScalar(new long[] {0, 0, i, j}, MASKED);
            }
        }
        return sd.constant("causalMask", mask.castTo(like.dataType()));
    }
}
