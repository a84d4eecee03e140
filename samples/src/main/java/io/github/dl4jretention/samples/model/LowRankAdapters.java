package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.LowRankBlock;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * Low-rank adapters of the sample transformer (LoRA, arXiv 2106.09685): everything is frozen but the adapters, which
 * are merged into a stock sample transformer in the end.
 *
 * <pre>{@code
 * MultiLayerNetwork adapted = LowRankAdapters.attach(base, 8, 16, new Adam(1e-3), 1);
 * adapted.fit(batches);
 * MultiLayerNetwork merged = LowRankAdapters.merge(adapted);
 * }</pre>
 *
 * <p>With retention the teacher is the student itself with its adapters off. It shares the weights; what its blocks and
 * the student's hold beside them, {@link LowRankBlock} says:
 *
 * <pre>{@code
 * MultiLayerNetwork student = Retention.attach(adapted, conf, LowRankAdapters.teacher(adapted));
 * student.fit(new TeacherIterator(batches, LowRankAdapters.teacher(student)));
 * MultiLayerNetwork merged = LowRankAdapters.merge(student);
 * }</pre>
 */
public final class LowRankAdapters {

    /** Weights of a block that are adapted, as in section 7.1 of the paper. */
    private static final String[] ADAPTED = {"query", "value"};

    private LowRankAdapters() {}

    /**
     * A copy of a sample transformer with adapters, which computes the same until it is trained.
     *
     * @param rank    of the adapters, at least 1
     * @param alpha   the adapters' factor is {@code alpha / rank}
     * @param updater of the adapters. {@code Retention.withUpdater} would thaw the rest
     * @param seed    of the adapters' first weights
     * @throws IllegalArgumentException if the model has no {@link DecoderBlock}
     */
    public static MultiLayerNetwork attach(
            MultiLayerNetwork base, int rank, double alpha, IUpdater updater, long seed) {
        if (rank < 1) {
            throw new IllegalArgumentException("rank: expected at least 1, got " + rank);
        }
        MultiLayerConfiguration conf = copyOf(base);
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        List<INDArray> params = new ArrayList<>();
        Nd4j.getRandom().setSeed(seed);
        boolean found = false;
        for (int i = 0; i < base.getnLayers(); i++) {
            NeuralNetConfiguration layer = conf.getConf(i);
            if (layer.getLayer() instanceof DecoderBlock block) {
                LowRankBlock adapted = new LowRankBlock(block, rank, alpha, ADAPTED);
                replace(layer, adapted, updater);
                INDArray all =
                        Nd4j.create(conf.getDataType(), 1, adapted.initializer().numParams(layer));
                assign(adapted.initializer().init(layer, all, true), base, i);
                params.add(all);
                found = true;
            } else {
                freeze(layer.getLayer());
                add(params, base, i);
            }
        }
        if (!found) {
            throw new IllegalArgumentException("base: expected a sample transformer, got a model without any "
                    + DecoderBlock.class.getSimpleName());
        }
        return network(conf, params);
    }

    private static void add(List<INDArray> params, MultiLayerNetwork network, int index) {
        if (network.getLayer(index).numParams() > 0) {
            params.add(network.getLayer(index).params());
        }
    }

    /** Gives a block's parameters the values of another block's of the same names. */
    private static void assign(Map<String, INDArray> params, MultiLayerNetwork network, int index) {
        Map<String, INDArray> values = network.getLayer(index).paramTable();
        params.forEach((name, array) -> {
            if (values.containsKey(name)) {
                array.assign(values.get(name));
            }
        });
    }

    /**
     * A stock sample transformer with the adapters merged into its weights, {@code W + alpha / rank D U}.
     *
     * @param adapted with adapters, or a student that was made of it
     */
    public static MultiLayerNetwork merge(MultiLayerNetwork adapted) {
        return without(adapted, true);
    }

    /** The stock sample transformer that the adapters were attached to. */
    public static MultiLayerNetwork base(MultiLayerNetwork adapted) {
        return without(adapted, false);
    }

    /**
     * The frozen base inside of a network as a teacher: the network with its adapters off, see
     * {@link Teacher#sharing(MultiLayerNetwork, MultiLayerNetwork)}. Its identity is that of {@code Teacher.of(base)}. It
     * uses the network's own weights, and throws a {@link io.github.dl4jretention.teacher.TeacherException} as soon as one
     * of them has changed, because its layer was thawed, say.
     *
     * @param adapted with adapters, or a student that was made of it
     */
    public static Teacher teacher(MultiLayerNetwork adapted) {
        return Teacher.sharing(base(adapted), adapted);
    }

    private static MultiLayerNetwork without(MultiLayerNetwork adapted, boolean merged) {
        MultiLayerNetwork plain = adapted.getOutputLayer().conf().getLayer() instanceof RetentionOutputLayer
                ? Retention.detach(adapted)
                : adapted;
        MultiLayerConfiguration conf = copyOf(plain);
        List<INDArray> params = new ArrayList<>();
        IUpdater updater = null;
        for (int i = 0; i < plain.getnLayers(); i++) {
            NeuralNetConfiguration layer = conf.getConf(i);
            if (layer.getLayer() instanceof LowRankBlock block) {
                updater = block.getUpdater();
                DecoderBlock stock = block.getBlock();
                replace(layer, stock, updater);
                INDArray all =
                        Nd4j.create(conf.getDataType(), 1, stock.initializer().numParams(layer));
                Map<String, INDArray> own = stock.initializer().init(layer, all, false);
                assign(own, plain, i);
                if (merged) {
                    addAdapters(own, plain, i, block);
                }
                params.add(all);
            } else {
                add(params, plain, i);
            }
        }
        if (updater == null) {
            throw new IllegalArgumentException("adapted: expected a network with low-rank adapters, got one without");
        }
        return Retention.withUpdater(network(conf, params), updater);
    }

    private static void addAdapters(
            Map<String, INDArray> own, MultiLayerNetwork network, int index, LowRankBlock block) {
        for (String weight : block.getAdapted()) {
            Objects.requireNonNull(own.get(weight))
                    .addi(block.addedTo(weight, network.getLayer(index).paramTable()));
        }
    }

    private static MultiLayerConfiguration copyOf(MultiLayerNetwork network) {
        return MultiLayerConfiguration.fromJson(
                network.getLayerWiseConfigurations().toJson());
    }

    private static void replace(NeuralNetConfiguration conf, AbstractSameDiffLayer layer, IUpdater updater) {
        Layer old = conf.getLayer();
        layer.setLayerName(old.getLayerName());
        layer.setUpdater(updater.clone());
        conf.setLayer(layer);
        conf.clearVariables();
    }

    private static void freeze(Layer layer) {
        if (layer instanceof BaseLayer base) {
            base.setIUpdater(LowRankBlock.frozen());
            base.setBiasUpdater(null);
            base.setRegularization(List.of());
            base.setRegularizationBias(List.of());
        } else if (layer instanceof AbstractSameDiffLayer sameDiff) {
            sameDiff.setUpdater(LowRankBlock.frozen());
            sameDiff.setBiasUpdater(null);
            sameDiff.setRegularization(List.of());
            sameDiff.setRegularizationBias(List.of());
        }
    }

    private static MultiLayerNetwork network(MultiLayerConfiguration conf, List<INDArray> params) {
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        INDArray all = Nd4j.concat(
                0, params.stream().map(array -> array.reshape(array.length())).toArray(INDArray[]::new));
        network.init(all.reshape(1, all.length()), false);
        return network;
    }
}
