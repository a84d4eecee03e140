package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.teacher.AdaptedLayer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.learning.regularization.Regularization;

/**
 * A {@link DecoderBlock} whose own parameters are frozen and that has low-rank adapters beside some of its weights:
 * {@code W + alpha / rank D U} in the place of W {@code [nIn, nOut]}, with D {@code [nIn, rank]} and U
 * {@code [rank, nOut]}. U is 0 at first, so that the block computes what it did.
 *
 * <p>Parameters: those of the block, under their names, and for each adapted weight its name with {@code Down} (D) and
 * {@code Up} (U). The block's own have a gradient of 0. Input, output, masks, stored state, dropout, updater,
 * regularisation and gradient normalisation are the block's; the last three concern the adapters alone.
 *
 * <p><b>Memory.</b> Weights with the adapters added are computed before each pass, into memory as large as the block's
 * parameters; their gradients need as much again once the block has trained. A teacher that shares the network's weights
 * with its adapters off has a copy of them of its own.
 *
 * <p>Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685, section
 * 4.1.
 */
public final class LowRankBlock extends TokenLayer implements AdaptedLayer {

    private static final long serialVersionUID = 1L;

    private static final String DOWN = "Down";
    private static final String UP = "Up";

    /** The block without adapters. */
    private DecoderBlock block = new DecoderBlock();

    /** Columns of D and rows of U. */
    private int rank;

    /** What D U is multiplied with, times the rank. */
    private double alpha;

    /** Names of the weights that are adapted. */
    private List<String> adapted = new ArrayList<>();

    /** Only ever set in a teacher's copy. */
    private transient boolean off;

    /** For JSON. */
    LowRankBlock() {}

    /**
     * Adapters of rank {@code rank} beside weights of a block.
     *
     * @param block   of a network that was initialised, so that its width is known
     * @param rank    of the adapters, at least 1
     * @param alpha   the adapters' factor is {@code alpha / rank}, a finite number
     * @param weights names of the weights that are adapted: any of query, key, value, projection, gate, up and down
     * @throws IllegalArgumentException if the rank is below 1, alpha isn't finite, the block has no weight of a name, or a
     *     name comes twice
     */
    public LowRankBlock(DecoderBlock block, int rank, double alpha, String... weights) {
        super(block);
        this.block = block;
        this.rank = rank;
        this.alpha = alpha;
        adapted = new ArrayList<>(List.of(weights));
        if (rank < 1) {
            throw new IllegalArgumentException("rank: expected a number of at least 1, got " + rank);
        }
        if (!Double.isFinite(alpha)) {
            throw new IllegalArgumentException("alpha: expected a finite number, got " + alpha);
        }
        List<String> known = block.getLayerParams().getWeightParameterKeys();
        if (adapted.isEmpty() || !known.containsAll(adapted) || new HashSet<>(adapted).size() < adapted.size()) {
            throw new IllegalArgumentException(
                    "weights: expected one or more of " + known + ", each once, got " + adapted);
        }
    }

    /** {@return the block without adapters, whose parameters have the same names and shapes} */
    public DecoderBlock getBlock() {
        return block;
    }

    /** {@return rank of the adapters} */
    public int getRank() {
        return rank;
    }

    /** {@return what D U is multiplied with, times the rank} */
    public double getAlpha() {
        return alpha;
    }

    /** {@return names of the weights that are adapted} */
    public List<String> getAdapted() {
        return List.copyOf(adapted);
    }

    /**
     * {@return what is added to a weight, alpha / rank D U, {@code [nIn, nOut]}; null if it isn't adapted}
     *
     * @param weight name of the weight
     * @param params a layer's parameters by name
     */
    public @Nullable INDArray addedTo(String weight, Map<String, INDArray> params) {
        return off || !adapted.contains(weight)
                ? null
                : of(params, weight + DOWN).mmul(of(params, weight + UP)).muli(factor());
    }

    /**
     * Sets the gradients of a weight's adapters.
     *
     * @param gradient  of the weight with its adapters
     * @param params    the layer's parameters by name
     * @param gradients their gradients by name
     */
    void setGradients(String weight, INDArray gradient, Map<String, INDArray> params, Map<String, INDArray> gradients) {
        INDArray down = of(params, weight + DOWN);
        INDArray up = of(params, weight + UP);
        of(gradients, weight + DOWN).assign(gradient.mmul(up.transpose()).muli(factor()));
        of(gradients, weight + UP).assign(down.transpose().mmul(gradient).muli(factor()));
    }

    private static INDArray of(Map<String, INDArray> arrays, String name) {
        return requireNonNull(arrays.get(name), name);
    }

    private double factor() {
        return alpha / rank;
    }

    @Override
    public LowRankBlock withoutAdapters() {
        LowRankBlock copy = (LowRankBlock) clone();
        copy.off = true;
        return copy;
    }

    @Override
    public boolean isAdapter(String parameter) {
        return adapted.stream().anyMatch(name -> parameter.equals(name + DOWN) || parameter.equals(name + UP));
    }

    @Override
    public void defineParameters(SDLayerParams params) {
        block.defineParameters(params);
        for (String weight : adapted) {
            long[] shape = requireNonNull(params.getWeightParams().get(weight), weight);
            params.addWeightParam(weight + DOWN, shape[0], rank);
            params.addWeightParam(weight + UP, rank, shape[1]);
        }
    }

    @Override
    public void initializeParameters(Map<String, INDArray> params) {
        super.initializeParameters(params);
        adapted.forEach(weight -> of(params, weight + UP).assign(0));
    }

    @Override
    public IUpdater getUpdaterByParam(String parameter) {
        return isAdapter(parameter) ? super.getUpdaterByParam(parameter) : frozen();
    }

    /** {@return an updater that changes nothing: M2.1's NoOp would subtract the gradient as it is} */
    public static IUpdater frozen() {
        return new Sgd(0);
    }

    @Override
    public List<Regularization> getRegularizationByParam(String parameter) {
        return isAdapter(parameter) ? super.getRegularizationByParam(parameter) : List.of();
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        super.setNIn(inputType, override);
        block.setNIn(inputType, override);
    }

    @Override
    void validate() {
        block.validate();
    }

    @Override
    List<String> gains() {
        return block.gains();
    }

    @Override
    List<@Nullable Object> fields() {
        return Arrays.asList(block, rank, alpha, adapted);
    }

    @Override
    public Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        return init(
                new LowRankBlockRuntime(conf, networkDataType), conf, layerIndex, layerParamsView, initializeParams);
    }
}
