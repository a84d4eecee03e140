package io.github.dl4jretention.lm.layers;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.AdamUpdater;
import org.nd4j.linalg.learning.GradientUpdater;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.schedule.ISchedule;

/**
 * DL4J's Adam on all processors: the same settings, state and results, to rounding. ND4J's own runs on one, at
 * {@code OMP_NUM_THREADS=1}. {@link NativeLayers#of} puts it in the place of {@link Adam}.
 *
 * <pre>
 * m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 * parameter -= learningRate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)
 * </pre>
 *
 * <p>Source: Kingma and Ba, "Adam", https://arxiv.org/abs/1412.6980, with epsilon where section 2's last paragraph has
 * it, as in DL4J. ND4J's own takes epsilon for a step that is 0 or not
 * finite; this one takes the step as it is, so a learning rate of 0 changes nothing, and one of NaN makes the parameters
 * NaN. Types other than FLOAT and DOUBLE, and other backends, run DL4J's code.
 *
 * <p>A network with this updater that ModelSerializer has saved needs this jar to load; {@code NativeLayers.stock} gives
 * one that doesn't.
 */
public final class NativeAdam extends Adam {

    private static final long serialVersionUID = 1L;

    /** As {@link Adam#Adam()}: learning rate 1e-3, beta1 0.9, beta2 0.999, epsilon 1e-8. */
    public NativeAdam() {}

    /** @param learningRate above 0; the rest as {@link #NativeAdam()} */
    public NativeAdam(double learningRate) {
        super(learningRate);
    }

    /** @param learningRate by iteration or epoch; the rest as {@link #NativeAdam()} */
    public NativeAdam(ISchedule learningRate) {
        super(learningRate);
    }

    /** Makes an updater of another one's settings. */
    NativeAdam(Adam that) {
        super(that.getLearningRate(), that.getBeta1(), that.getBeta2(), that.getEpsilon());
        setLearningRateSchedule(that.getLearningRateSchedule());
    }

    @Override
    public NativeAdam clone() {
        return new NativeAdam(this);
    }

    @Override
    public GradientUpdater<?> instantiate(INDArray viewArray, boolean initializeViewArray) {
        Updater updater = new Updater(this);
        INDArray flat = viewArray.reshape(viewArray.length());
        updater.setStateViewArray(flat, new long[] {flat.length() / 2}, flat.ordering(), initializeViewArray);
        return updater;
    }

    /** DL4J's, with another loop. */
    private static final class Updater extends AdamUpdater {

        Updater(NativeAdam configuration) {
            super(configuration);
        }

        @Override
        public void applyUpdater(INDArray gradient, int iteration, int epoch) {
            DataType type = gradient.dataType();
            boolean fits = Nd4j.getEnvironment().isCPU()
                    && (type == DataType.FLOAT || type == DataType.DOUBLE)
                    && isWhole(gradient)
                    && isWhole(getM())
                    && isWhole(getV());
            if (!fits) {
                super.applyUpdater(gradient, iteration, epoch);
                return;
            }
            Adam adam = getConfig();
            double step = adam.getLearningRate(iteration, epoch)
                    * Math.sqrt(1 - Math.pow(adam.getBeta2(), iteration + 1))
                    / (1 - Math.pow(adam.getBeta1(), iteration + 1));
            if (type == DataType.FLOAT) {
                FloatAdam.apply(gradient, getM(), getV(), adam.getBeta1(), adam.getBeta2(), step, adam.getEpsilon());
            } else {
                DoubleAdam.apply(gradient, getM(), getV(), adam.getBeta1(), adam.getBeta2(), step, adam.getEpsilon());
            }
        }

        /** Whether its numbers lie side by side. */
        private static boolean isWhole(INDArray array) {
            return array.elementWiseStride() == 1;
        }
    }
}
