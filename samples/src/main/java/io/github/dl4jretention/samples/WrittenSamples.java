package io.github.dl4jretention.samples;

import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.samples.model.TextModel;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

/**
 * What a model writes after a few prompts.
 *
 * @param prompts beginnings of texts
 * @param texts   what follows each
 */
record WrittenSamples(List<String> prompts, List<String> texts) {

    private static final int PROMPT = 16;
    private static final int CONTINUATION = 60;

    /** Samples of a model, after the beginning of a held-out text of the target, and of one of the source. */
    static WrittenSamples of(LanguageModel model, List<DataSet> target, List<DataSet> source, long seed)
            throws IOException {
        List<String> prompts = new ArrayList<>();
        for (DataSet data : List.of(target.get(0), source.get(0))) {
            INDArray ids = data.getFeatures();
            int[] first = new int[(int) Math.min(PROMPT, ids.size(2))];
            for (int i = 0; i < first.length; i++) {
                first[i] = ids.getInt(0, 0, i);
            }
            prompts.add(TextModel.prompt(first, model.tokenizer(), model.contextLength()));
        }
        return of(model, prompts, seed);
    }

    private static WrittenSamples of(LanguageModel model, List<String> prompts, long seed) throws IOException {
        List<String> texts = new ArrayList<>();
        for (String prompt : prompts) {
            texts.add(Generator.of(model)
                    .temperature(0.8)
                    .maxTokens(CONTINUATION)
                    .seed(seed)
                    .generate(prompt));
        }
        return new WrittenSamples(prompts, texts);
    }

    /** These of the base, and those of the tuned model after the same prompts, to be read. */
    String beside(LanguageModel tuned, long seed) throws IOException {
        List<String> ofTuned = of(tuned, prompts, seed).texts();
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < prompts.size(); i++) {
            text.append("=== prompt: ").append(prompts.get(i)).append("\n\n");
            text.append("--- base\n").append(texts.get(i)).append("\n\n");
            text.append("--- tuned\n").append(ofTuned.get(i)).append("\n\n");
        }
        return text.toString();
    }
}
