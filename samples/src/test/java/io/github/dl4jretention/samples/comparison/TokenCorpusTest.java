package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.samples.lesson.Problem;
import io.github.dl4jretention.samples.lesson.Problems;
import io.github.dl4jretention.samples.model.RandomFolder;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.BytePairs;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.samples.text.TokenWindowIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

/** What is predicted of texts that are made from seeds. */
class TokenCorpusTest {

    private static final int WINDOW = 120;

    private static List<Problem> problems(Domain domain, Corpus.Part part) {
        return Corpus.problems(domain, part);
    }

    @Test
    void answers_are_predicted_and_nothing_else(@TempDir Path folder) throws IOException {
        int vocabulary = BytePairs.write(
                folder, "Question: How many protons have an atom of gold\nAnswer: 4 + 5 ".repeat(9), 300);
        new RandomFolder(vocabulary, 8, 1, 2, 1, 8, WINDOW).write(folder, false, 1);
        TextModel model = TextModel.of(LanguageModel.load(folder)).withWindow(WINDOW);
        TokenCorpus corpus = new TokenCorpus(Corpus.read(Path.of("target", "corpus")), model);
        for (Domain domain : List.of(Domain.PROBLEMS, Domain.ELEMENTS, Domain.INSTRUCTIONS)) {
            List<Problem> learned = problems(domain, Corpus.Part.FINETUNE);
            Set<String> whole = new HashSet<>();
            learned.forEach(problem -> whole.add(" " + problem.worked() + BytePairs.END));
            TokenWindowIterator windows = corpus.training(8, 2, 1, domain, Corpus.Part.FINETUNE);
            int found = 0;
            while (windows.hasNext()) {
                DataSet batch = windows.next();
                for (int row = 0; row < 8; row++) {
                    String first = predicted(batch, row, model).get(0);
                    found += whole.contains(first) ? 1 : 0;
                    assertTrue(
                            whole.stream().anyMatch(answer -> answer.startsWith(first)), domain + " \"" + first + "\"");
                    String text = decoded(batch.getFeatures().slice(row), model);
                    assertTrue(learned.stream().anyMatch(problem -> text.startsWith(problem.prompt())), text);
                }
            }
            assertTrue(found > 0, domain + ": an answer that ends in its window");
        }
        DataSet facts =
                corpus.training(4, 1, 1, Domain.FACTS, Corpus.Part.PRETRAIN).next();
        assertEquals(null, facts.getLabelsMaskArray(), "of facts all tokens");
    }

    private static String decoded(INDArray ids, TextModel model) {
        return model.tokenizer().decode(ids.ravel().toIntVector());
    }

    /** Runs of labels that count, as text. */
    private static List<String> predicted(DataSet batch, int row, TextModel model) {
        int[] labels = batch.getLabels().slice(row).ravel().toIntVector();
        float[] mask = batch.getLabelsMaskArray().getRow(row).toFloatVector();
        List<String> runs = new ArrayList<>();
        List<Integer> run = new ArrayList<>();
        for (int i = 0; i <= labels.length; i++) {
            if (i < labels.length && mask[i] > 0) {
                run.add(labels[i]);
            } else if (!run.isEmpty()) {
                boolean ended = run.get(run.size() - 1) == 0;
                runs.add(model.tokenizer()
                                .decode(run.stream()
                                        .mapToInt(id -> id)
                                        .filter(id -> id > 0)
                                        .toArray())
                        + (ended ? BytePairs.END : ""));
                run.clear();
            }
        }
        return runs;
    }

    @Test
    void what_is_learned_is_not_asked_and_what_is_asked_is_not_chosen_by() {
        for (Domain domain : List.of(Domain.PROBLEMS, Domain.ELEMENTS, Domain.INSTRUCTIONS)) {
            Set<String> all = new HashSet<>();
            int count = 0;
            for (Corpus.Part part : List.of(Corpus.Part.FINETUNE, Corpus.Part.VALIDATION, Corpus.Part.TEST)) {
                List<Problem> own = problems(domain, part);
                own.forEach(problem -> all.add(problem.asked()));
                count += own.size();
            }
            assertEquals(count, all.size(), domain + ": problems of several parts");
            assertTrue(problems(domain, Corpus.Part.PRETRAIN).isEmpty());
        }
        assertEquals(
                Problems.elements(200, Problems.QUESTIONS_SEED, Problems.Part.HELD),
                problems(Domain.ELEMENTS, Corpus.Part.TEST).subList(0, 200),
                "what Lessons asks");
        assertEquals(
                Problems.words(2000, Problems.LEARNED_SEED, Problems.Part.LEARNED),
                problems(Domain.PROBLEMS, Corpus.Part.FINETUNE),
                "what Lessons writes to learn");
        assertFalse(problems(Domain.PROBLEMS, Corpus.Part.VALIDATION).isEmpty());
    }
}
