package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.teacher.Teacher;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Text that a byte-level model writes after a prompt. */
final class TextSample {

    private static final int LENGTH = 160;

    private TextSample() {}

    /** Samples bytes one by one from the model's distribution; the prompt is the text's first bytes. */
    static String after(byte[] text, MultiLayerNetwork network, long seed) {
        Teacher model = Teacher.of(network);
        Random random = new Random(seed);
        byte[] window = Arrays.copyOf(text, ModelKind.CONTEXT);
        byte[] written = new byte[LENGTH];
        for (int i = 0; i < LENGTH; i++) {
            written[i] = sample(model, window, random);
            System.arraycopy(window, 1, window, 0, window.length - 1);
            window[window.length - 1] = written[i];
        }
        return new String(written, StandardCharsets.UTF_8);
    }

    private static byte sample(Teacher model, byte[] window, Random random) {
        float[] features = new float[window.length];
        for (int t = 0; t < window.length; t++) {
            features[t] = Byte.toUnsignedInt(window[t]);
        }
        INDArray last = model.logProbabilities(Nd4j.createFromArray(features).reshape(1, 1, window.length), null)
                .get(NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.point(window.length - 1L));
        double[] logProbabilities = last.toDoubleVector();
        double left = random.nextDouble();
        int chosen = 0;
        for (int v = 0; v < logProbabilities.length && left >= 0; v++) {
            left -= Math.exp(logProbabilities[v]);
            chosen = v;
        }
        return (byte) chosen;
    }
}
