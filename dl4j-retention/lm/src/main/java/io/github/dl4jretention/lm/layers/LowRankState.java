package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.LowRank;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/** What the working parts of layers with adapters have in common: where the base's parameters are, and the adapters' own. */
final class LowRankState {

    private final NeuralNetConfiguration conf;
    private final FrozenBase base;
    private final String place;
    private final @Nullable INDArray view;
    private final Map<String, INDArray> table;
    private final Map<String, LowRank> settings;
    private @Nullable INDArray gradients;
    private Map<String, INDArray> gradientTable = Map.of();

    /**
     * @param conf  that holds the {@link LowRankLayer}
     * @param view  of the adapters in the network's parameters; null if there are none
     * @param table the same by name
     */
    LowRankState(
            NeuralNetConfiguration conf,
            FrozenBase base,
            String place,
            @Nullable INDArray view,
            Map<String, INDArray> table,
            Map<String, LowRank> settings) {
        this.conf = conf;
        this.base = base;
        this.place = place;
        this.view = view;
        this.table = table;
        this.settings = settings;
    }

    NeuralNetConfiguration conf() {
        return conf;
    }

    TrainingConfig config() {
        return conf.getLayer();
    }

    /** The base layer's parameters. */
    INDArray frozen() {
        return base.parameters(place);
    }

    /** Gives the base layer's parameters, which are widened for as long as that takes if they are in half precision. */
    INDArray withFrozen(UnaryOperator<INDArray> work) {
        if (!base.isHalf()) {
            return work.apply(frozen());
        }
        try (FrozenBase.Widened widened = base.widened(place)) {
            return work.apply(widened.array());
        }
    }

    /** Null if there are no adapters. */
    @Nullable
    INDArray view() {
        return view;
    }

    Map<String, INDArray> table() {
        return table;
    }

    List<LowRankWeight> weights() {
        List<LowRankWeight> weights = new ArrayList<>();
        settings.forEach((name, adapter) -> weights.add(new LowRankWeight(
                name,
                adapter,
                requireNonNull(table.get(name + LowRank.DOWN)),
                requireNonNull(table.get(name + LowRank.UP)))));
        return weights;
    }

    void setParams(INDArray values) {
        if (view != null) {
            view.assign(values.reshape(view.shape()));
        }
    }

    void setParam(String name, INDArray value) {
        requireNonNull(table.get(name), name).assign(value);
    }

    void setGradients(INDArray gradients) {
        this.gradients = gradients;
        gradientTable = conf.getLayer().initializer().getGradientsFromFlattened(conf, gradients);
    }

    @Nullable
    INDArray gradients() {
        return gradients;
    }

    Map<String, INDArray> gradientTable() {
        return gradientTable;
    }

    double regularization(int iteration, int epoch) {
        return TokenLayerRuntime.regularization(conf.getLayer(), table, iteration, epoch);
    }
}
