package io.github.dl4jretention.internal;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The parameters of a layer that has nothing but low-rank adapters: for each weight D and U, in 'f' order, so that they lie
 * in memory as PEFT's files have them. D starts as a uniform sample of {@code [-1/sqrt(nIn), 1/sqrt(nIn)]}, U as 0.
 */
public final class LowRankParameters implements ParamInitializer {

    private final Map<String, long[]> shapes = new LinkedHashMap<>();

    /**
     * Adds the adapter of a weight.
     *
     * @param weight its name
     * @param nIn    rows of the weight
     * @param nOut   its columns
     * @param rank   of the adapter
     * @return this
     */
    public LowRankParameters with(String weight, long nIn, long nOut, int rank) {
        shapes.put(weight + LowRank.DOWN, new long[] {nIn, rank});
        shapes.put(weight + LowRank.UP, new long[] {rank, nOut});
        return this;
    }

    @Override
    public long numParams(NeuralNetConfiguration conf) {
        return numParams(conf.getLayer());
    }

    @Override
    public long numParams(Layer layer) {
        return shapes.values().stream().mapToLong(shape -> shape[0] * shape[1]).sum();
    }

    @Override
    public List<String> paramKeys(Layer layer) {
        return new ArrayList<>(shapes.keySet());
    }

    @Override
    public List<String> weightKeys(Layer layer) {
        return paramKeys(layer);
    }

    @Override
    public List<String> biasKeys(Layer layer) {
        return List.of();
    }

    @Override
    public boolean isWeightParam(Layer layer, String key) {
        return shapes.containsKey(key);
    }

    @Override
    public boolean isBiasParam(Layer layer, String key) {
        return false;
    }

    @Override
    public Map<String, INDArray> init(NeuralNetConfiguration conf, INDArray paramsView, boolean initializeParams) {
        Map<String, INDArray> views = views(paramsView);
        views.keySet().forEach(conf::addVariable);
        if (initializeParams) {
            views.forEach(LowRankParameters::start);
        }
        return views;
    }

    /**
     * Gives an adapter's parameter the values that it starts with, from ND4J's random generator.
     *
     * @param name  of the parameter, which says whether it's D or U
     * @param array to be set
     */
    public static void start(String name, INDArray array) {
        if (name.endsWith(LowRank.UP)) {
            array.assign(0);
        } else {
            double bound = 1 / Math.sqrt((double) array.size(0));
            array.assign(
                    Nd4j.rand(array.dataType(), array.shape()).muli(2 * bound).subi(bound));
        }
    }

    @Override
    public Map<String, INDArray> getGradientsFromFlattened(NeuralNetConfiguration conf, INDArray gradientView) {
        return views(gradientView);
    }

    private Map<String, INDArray> views(INDArray flat) {
        Map<String, INDArray> views = new LinkedHashMap<>();
        INDArray line = flat.reshape(flat.length());
        long from = 0;
        for (Map.Entry<String, long[]> shape : shapes.entrySet()) {
            long to = from + shape.getValue()[0] * shape.getValue()[1];
            views.put(shape.getKey(), line.get(NDArrayIndex.interval(from, to)).reshape('f', shape.getValue()));
            from = to;
        }
        return views;
    }
}
