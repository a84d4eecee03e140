package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Text that a model writes after prompts. */
final class TextSample {

    private static final int LENGTH = 120;

    private TextSample() {}

    /** The prompt: the first tokens of a text, as many as the model sees at once or as leave room to go on. */
    static String prompt(int[] text, TextModel model) {
        int[] first = Arrays.copyOf(text, model.window());
        return model.folder() == null
                ? model.tokenizer().decode(first)
                : TextModel.prompt(first, model.tokenizer(), model.folder().contextLength());
    }

    /**
     * Samples tokens one by one from the model's distribution, for all prompts at once.
     *
     * @param texts   their first tokens are the prompts
     * @param model   whose tokens they are
     * @param network the model's own, or one that was tuned
     * @return one continuation for each text
     */
    static List<String> after(List<int[]> texts, TextModel model, MultiLayerNetwork network, long seed)
            throws IOException {
        if (model.folder() != null) {
            return Generator.of(model.folder().withNetwork(network))
                    .maxTokens(LENGTH)
                    .seed(seed)
                    .generate(texts.stream().map(text -> prompt(text, model)).toList());
        }
        try (Teacher teacher = Teacher.of(network)) {
            return after(texts, model, teacher, seed);
        }
    }

    /** The prompt fills what a byte-level network sees at once, which moves on with the text. */
    private static List<String> after(List<int[]> texts, TextModel model, Teacher network, long seed) {
        Random random = new Random(seed);
        int context = model.window();
        int[][] written = new int[texts.size()][];
        Arrays.setAll(written, row -> Arrays.copyOf(Arrays.copyOf(texts.get(row), context), context + LENGTH));
        for (int i = 0; i < LENGTH; i++) {
            INDArray last = network.logProbabilities(windows(written, i, context), null)
                    .get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(context - 1L));
            for (int row = 0; row < written.length; row++) {
                written[row][context + i] = sample(last.getRow(row).toDoubleVector(), random.nextDouble());
            }
        }
        return Stream.of(written)
                .map(tokens -> model.tokenizer().decode(Arrays.copyOfRange(tokens, context, tokens.length)))
                .toList();
    }

    private static INDArray windows(int[][] written, int from, int context) {
        float[] features = new float[written.length * context];
        for (int row = 0; row < written.length; row++) {
            for (int t = 0; t < context; t++) {
                features[row * context + t] = written[row][from + t];
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
