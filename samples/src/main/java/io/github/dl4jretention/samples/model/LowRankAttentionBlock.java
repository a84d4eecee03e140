package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.teacher.AdaptedLayer;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.learning.regularization.Regularization;

/**
 * A {@link CausalSelfAttentionBlock} whose own weights are frozen and whose query and value projections have low-rank
 * adapters: {@code x W + alpha / rank x D U}, D of shape {@code [size, rank]}, U of shape {@code [rank, size]}, 0 at
 * first (LoRA, arXiv 2106.09685, sections 4.1 and 7.1).
 */
public final class LowRankAttentionBlock extends CausalSelfAttentionBlock implements AdaptedLayer {

    /** Projections that are adapted. */
    static final List<String> ADAPTED = List.of("query", "value");

    /** M2.1's NoOp would subtract the gradient as it is. */
    static final IUpdater FROZEN = new Sgd(0);

    private static final String DOWN = "Down";
    private static final String UP = "Up";

    private int rank;
    private double alpha;

    /** Only ever set in a teacher's copy. */
    private transient boolean off;

    /** For JSON. */
    LowRankAttentionBlock() {}

    LowRankAttentionBlock(int size, int heads, int rank, double alpha) {
        super(size, heads);
        this.rank = rank;
        this.alpha = alpha;
    }

    static String down(String projection) {
        return projection + DOWN;
    }

    static String up(String projection) {
        return projection + UP;
    }

    public int getRank() {
        return rank;
    }

    public void setRank(int rank) {
        this.rank = rank;
    }

    public double getAlpha() {
        return alpha;
    }

    public void setAlpha(double alpha) {
        this.alpha = alpha;
    }

    @Override
    public LowRankAttentionBlock withoutAdapters() {
        LowRankAttentionBlock block = (LowRankAttentionBlock) clone();
        block.off = true;
        return block;
    }

    @Override
    public boolean isAdapter(String parameter) {
        return parameter.endsWith(DOWN) || parameter.endsWith(UP);
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        super.defineParameters(params);
        for (String projection : ADAPTED) {
            params.addWeightParam(down(projection), getSize(), rank);
            params.addWeightParam(up(projection), rank, getSize());
        }
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        super.initializeParameters(params);
        ADAPTED.forEach(projection -> params.get(up(projection)).assign(0));
    }

    @Override
    public IUpdater getUpdaterByParam(String parameter) {
        return isAdapter(parameter) ? super.getUpdaterByParam(parameter) : FROZEN;
    }

    @Override
    public List<Regularization> getRegularizationByParam(String parameter) {
        return isAdapter(parameter) ? super.getRegularizationByParam(parameter) : List.of();
    }

    @Override
    SDVariable project(String name, SDVariable rows, Map<String, SDVariable> params) {
        SDVariable frozen = super.project(name, rows, params);
        return ADAPTED.contains(name) && !off
                ? frozen.add(rows.mmul(params.get(down(name)))
                        .mmul(params.get(up(name)))
                        .mul(alpha / rank))
                : frozen;
    }
}
