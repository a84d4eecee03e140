package io.github.dl4jretention.lm;

import io.github.dl4jretention.internal.LowRank;
import io.github.dl4jretention.lm.huggingface.AdapterFolder;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.LowRankLayer;
import io.github.dl4jretention.lm.layers.NativeLSTM;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.params.LSTMParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Which weights of a network get new adapters, by their names. */
final class AdapterChoice implements AdapterFolder.Source {

    private static final Set<String> ATTENTION = Set.of("query", "key", "value", "projection");
    private static final Map<String, String> SHORT = Map.of("q", "query", "k", "key", "v", "value", "o", "projection");

    private final LowRankAdapters.Settings settings;
    private final Random random;
    private final Set<String> known = new TreeSet<>();
    private final Set<String> met = new TreeSet<>();

    AdapterChoice(LowRankAdapters.Settings settings) {
        this.settings = settings;
        random = new Random(settings.seed());
    }

    @Override
    public Map<String, LowRank> adapters(String place, Layer layer, boolean isOutput) {
        Map<String, LowRank> chosen = new LinkedHashMap<>();
        Collection<String> weights = isOutput
                ? List.of(DefaultParamInitializer.WEIGHT_KEY)
                : LowRankLayer.weights(layer).keySet();
        for (String weight : weights) {
            if (isChosen(names(layer, weight, isOutput))) {
                if (isOutput && settings.adapter().dropout() > 0) {
                    throw new IllegalArgumentException("dropout: expected 0 for the output layer's adapter, got "
                            + settings.adapter().dropout() + "; leave out \"output\", or the dropout");
                }
                chosen.put(weight, settings.adapter());
            }
        }
        return chosen;
    }

    /** What a weight is called, itself and its groups. */
    private static List<String> names(Layer layer, String weight, boolean isOutput) {
        if (isOutput) {
            return List.of("output");
        }
        if (layer instanceof DecoderBlock) {
            return List.of(weight, ATTENTION.contains(weight) ? "attention" : "feedforward", "all");
        }
        if (layer instanceof NativeLSTM) {
            return List.of(weight.equals(LSTMParamInitializer.INPUT_WEIGHT_KEY) ? "input" : "recurrent", "lstm", "all");
        }
        return List.of("dense", "all");
    }

    private boolean isChosen(List<String> names) {
        known.addAll(names);
        boolean chosen = false;
        for (String asked : settings.layers()) {
            if (names.contains(SHORT.getOrDefault(asked, asked))) {
                met.add(asked);
                chosen = true;
            }
        }
        return chosen;
    }

    @Override
    public void requireUsed() {
        Set<String> missing = new TreeSet<>(settings.layers());
        missing.removeAll(met);
        if (!missing.isEmpty() || settings.layers().isEmpty()) {
            throw new IllegalArgumentException("layers: expected names of weights that the network has, out of " + known
                    + ", got " + (missing.isEmpty() ? "none" : missing)
                    + (known.contains("input") ? "" : "; NativeLayers.of makes LSTMs that can have adapters"));
        }
    }

    @Override
    public void start(String place, String weight, INDArray down, INDArray up) {
        double bound = 1 / Math.sqrt((double) down.size(0));
        double[] values = random.doubles(down.length(), -bound, bound).toArray();
        down.assign(Nd4j.createFromArray(values).reshape('f', down.shape()).castTo(down.dataType()));
        up.assign(0);
    }
}
