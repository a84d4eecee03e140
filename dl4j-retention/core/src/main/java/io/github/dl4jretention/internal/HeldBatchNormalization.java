package io.github.dl4jretention.internal;

import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Collection;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Batch normalisation of a student: it normalises by the running statistics in training too, and leaves them as they
 * are. With channels c,
 *
 * <pre>
 * y = gamma(c) (x - mean(c)) / sqrt(var(c) + eps) + beta(c)
 * dL/dx = dL/dy gamma(c) / sqrt(var(c) + eps)
 * </pre>
 *
 * <p>DL4J's own layer normalises by the minibatch in training, so that a student would differ from its teacher at the
 * first step, and moves the running statistics with every minibatch. Parameters, their order and inference are
 * those of the stock layer. Saved students name this class: don't rename it.
 *
 * <p>Source of the layer: Ioffe and Szegedy, Batch Normalization, arXiv 1502.03167; this is its inference mode,
 * algorithm 2, step 11.
 */
public final class HeldBatchNormalization extends BatchNormalization {

    private static final long serialVersionUID = 1L;

    /** For JSON. */
    public HeldBatchNormalization() {}

    /**
     * Holds the running statistics of a network.
     *
     * @param configuration whose layers are replaced
     */
    public static void hold(MultiLayerConfiguration configuration) {
        replace(configuration, HeldBatchNormalization::held);
    }

    /**
     * Holds the running statistics of a graph.
     *
     * @param configuration whose layers are replaced
     */
    public static void hold(ComputationGraphConfiguration configuration) {
        replace(configuration, HeldBatchNormalization::held);
    }

    /**
     * Gives back DL4J's layers.
     *
     * @param configuration whose layers are replaced
     */
    public static void release(MultiLayerConfiguration configuration) {
        replace(configuration, HeldBatchNormalization::stock);
    }

    /**
     * Gives back DL4J's layers.
     *
     * @param configuration whose layers are replaced
     */
    public static void release(ComputationGraphConfiguration configuration) {
        replace(configuration, HeldBatchNormalization::stock);
    }

    /**
     * {@return DL4J's layer in place of one of this class, with the same settings; another layer as it is}
     *
     * @param layer left as it is
     */
    public static Layer stock(Layer layer) {
        return layer instanceof HeldBatchNormalization ? copy(layer, new BatchNormalization()) : layer;
    }

    private static Layer held(Layer layer) {
        return layer.getClass() == BatchNormalization.class ? copy(layer, new HeldBatchNormalization()) : layer;
    }

    private static void replace(MultiLayerConfiguration configuration, UnaryOperator<Layer> change) {
        for (NeuralNetConfiguration layer : configuration.getConfs()) {
            layer.setLayer(inside(layer.getLayer(), change));
        }
    }

    private static void replace(ComputationGraphConfiguration configuration, UnaryOperator<Layer> change) {
        for (GraphVertex vertex : configuration.getVertices().values()) {
            if (vertex instanceof LayerVertex layer) {
                NeuralNetConfiguration conf = layer.getLayerConf();
                conf.setLayer(inside(conf.getLayer(), change));
            }
        }
    }

    private static Layer inside(Layer layer, UnaryOperator<Layer> change) {
        // DL4J's FrozenLayer runs what's in it in inference mode and passes no gradient through.
        if (layer instanceof BaseWrapperLayer wrapper) {
            wrapper.setUnderlying(inside(wrapper.getUnderlying(), change));
        }
        return change.apply(layer);
    }

    /** Field by field: the layer has no copy constructor, and some of its settings have no setter. */
    private static BatchNormalization copy(Layer from, BatchNormalization to) {
        try {
            for (Class<?> type = BatchNormalization.class; type != Object.class; type = type.getSuperclass()) {
                for (Field field : type.getDeclaredFields()) {
                    if (!Modifier.isStatic(field.getModifiers())) {
                        field.setAccessible(true);
                        field.set(to, field.get(from));
                    }
                }
            }
            return to;
        } catch (IllegalAccessException e) {
            throw new IllegalStateException("fields that were made accessible are not", e);
        }
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(
            NeuralNetConfiguration conf,
            Collection<TrainingListener> trainingListeners,
            int layerIndex,
            INDArray layerParamsView,
            boolean initializeParams,
            DataType networkDataType) {
        Runtime layer = new Runtime(conf, networkDataType);
        layer.setListeners(trainingListeners);
        layer.setIndex(layerIndex);
        layer.setParamsViewArray(layerParamsView);
        layer.setParamTable(initializer().init(conf, layerParamsView, initializeParams));
        layer.setConf(conf);
        return layer;
    }

    /** The layer at work. */
    private static final class Runtime extends org.deeplearning4j.nn.layers.normalization.BatchNormalization {

        private static final long serialVersionUID = 1L;

        Runtime(NeuralNetConfiguration conf, DataType dataType) {
            super(conf, dataType);
        }

        @Override
        public INDArray activate(boolean training, LayerWorkspaceMgr workspaceMgr) {
            INDArray activations = super.activate(false, workspaceMgr);
            // What the stock layer's own backpropagation would need.
            std = null;
            xMu = null;
            xHat = null;
            return activations;
        }

        @Override
        public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaceMgr) {
            assertInputSet(true);
            INDArray given = epsilon.castTo(dataType);
            int channels = input.rank() == 4 && layerConf().getCnn2DFormat() == CNN2DFormat.NHWC ? 3 : 1;
            INDArray perDeviation = Transforms.pow(variance().addi(layerConf().getEps()), -0.5, false);
            Gradient gradient = new DefaultGradient();
            if (!layerConf().isLockGammaBeta()) {
                INDArray normalised = input.castTo(dataType)
                        .sub(along(channels, parameter(BatchNormalizationParamInitializer.GLOBAL_MEAN)))
                        .muli(along(channels, perDeviation));
                put(gradient, BatchNormalizationParamInitializer.GAMMA, sum(given.mul(normalised), channels));
                put(gradient, BatchNormalizationParamInitializer.BETA, sum(given, channels));
            }
            put(gradient, BatchNormalizationParamInitializer.GLOBAL_MEAN, null);
            put(gradient, spread(), null);
            INDArray back = given.mul(along(channels, perDeviation.muli(gamma())));
            return new Pair<>(gradient, workspaceMgr.leverageTo(ArrayType.ACTIVATION_GRAD, back));
        }

        private String spread() {
            return layerConf().isUseLogStd()
                    ? BatchNormalizationParamInitializer.GLOBAL_LOG_STD
                    : BatchNormalizationParamInitializer.GLOBAL_VAR;
        }

        private INDArray parameter(String name) {
            return Objects.requireNonNull(params.get(name), name);
        }

        /** A new array. */
        private INDArray variance() {
            INDArray stored = parameter(spread());
            return layerConf().isUseLogStd() ? Transforms.exp(stored.mul(2 * Math.log(10)), false) : stored.dup();
        }

        private INDArray gamma() {
            if (!layerConf().isLockGammaBeta()) {
                return parameter(BatchNormalizationParamInitializer.GAMMA);
            }
            // As the stock layer computes with locked values: DL4J M2.1 leaves gamma out where beta is 0.
            double locked = layerConf().getGamma();
            return parameter(spread()).ulike().assign(locked != 1 && layerConf().getBeta() != 0 ? locked : 1);
        }

        private INDArray along(int channels, INDArray values) {
            long[] shape = new long[input.rank()];
            Arrays.fill(shape, 1);
            shape[channels] = values.length();
            return values.reshape(shape);
        }

        private static INDArray sum(INDArray array, int channels) {
            int[] others = new int[array.rank() - 1];
            for (int i = 0; i < others.length; i++) {
                others[i] = i < channels ? i : i + 1;
            }
            return array.sum(others);
        }

        /** @param value null for zeros */
        private void put(Gradient gradient, String name, @Nullable INDArray value) {
            Map<String, INDArray> views = gradientViews;
            INDArray view = views == null ? null : views.get(name);
            if (view != null) {
                view.assign(value == null ? view.ulike().assign(0) : value.reshape(view.shape()));
                gradient.setGradientFor(name, view);
            }
        }
    }
}
