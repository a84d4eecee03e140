package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.teacher.Teacher;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Text that a byte-level model writes after prompts. */
final class TextSample {

    private static final int LENGTH = 120;

    private TextSample() {}

    /**
     * Samples bytes one by one from the model's distribution, for all prompts at once.
     *
     * @param texts their first bytes are the prompts
     * @return one continuation for each text
     */
    static List<String> after(List<byte[]> texts, MultiLayerNetwork network, long seed) {
        try (Teacher model = Teacher.of(network)) {
            return after(texts, model, seed);
        }
    }

    private static List<String> after(List<byte[]> texts, Teacher model, long seed) {
        Random random = new Random(seed);
        int context = ModelKind.CONTEXT;
        byte[][] written = new byte[texts.size()][context + LENGTH];
        for (int row = 0; row < written.length; row++) {
            System.arraycopy(texts.get(row), 0, written[row], 0, context);
        }
        for (int i = 0; i < LENGTH; i++) {
            INDArray last = model.logProbabilities(windows(written, i), null)
                    .get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(context - 1L));
            for (int row = 0; row < written.length; row++) {
                written[row][context + i] = (byte) sample(last.getRow(row).toDoubleVector(), random.nextDouble());
            }
        }
        return List.of(written).stream()
                .map(bytes -> new String(bytes, context, LENGTH, StandardCharsets.UTF_8))
                .toList();
    }

    private static INDArray windows(byte[][] written, int from) {
        int context = ModelKind.CONTEXT;
        float[] features = new float[written.length * context];
        for (int row = 0; row < written.length; row++) {
            for (int t = 0; t < context; t++) {
                features[row * context + t] = Byte.toUnsignedInt(written[row][from + t]);
            }
        }
        return Nd4j.createFromArray(features).reshape(written.length, 1, context);
    }

    /** The class in which a point of [0, 1) falls when the classes' probabilities lie side by side. */
    private static int sample(double[] logProbabilities, double point) {
        double left = point;
        int chosen = 0;
        for (int v = 0; v < logProbabilities.length && left >= 0; v++) {
            left -= Math.exp(logProbabilities[v]);
            chosen = v;
        }
        return chosen;
    }
}
