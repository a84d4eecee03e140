package io.github.dl4jretention.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.listener.ReportLog;
import io.github.dl4jretention.listener.RetentionTrainingListener;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import java.io.File;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/** What the docs show of SameDiff models; the samples' DocsTest compares the two. */
class SameDiffSnippetsTest {

    @Test
    void models(@TempDir Path folder) {
        File file = folder.resolve("model.fb").toFile();
        model().save(file, false);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        MultiDataSetIterator iterator = iterator(Networks.batches(DataType.FLOAT, 3, false));
        int epochs = 2;
        // snippet
        SameDiff pretrained = SameDiff.load(file, false); // false: DL4J otherwise keeps the old updater
        Teacher teacher = Teacher.of(pretrained, "logits", "features"); // the variable, the placeholders in order
        SameDiff student =
                Retention.withUpdater(Retention.attach(pretrained, conf, "logits", "features"), new Adam(3e-4));
        Retention.finetune(student, teacher, iterator, epochs);
        SameDiff plain = Retention.detach(student);
        // end
        assertFalse(plain.hasVariable(RetentionLoss.LOSS));
        // snippet
        RetentionListener retention = new RetentionListener();
        student.setListeners(
                retention,
                RetentionTrainingListener.builder().to(new ReportLog()).build(retention));
        Retention.finetune(student, teacher, iterator, epochs);
        TokenLoss last = retention.lastTokenLoss(); // last.crossEntropy(), last.divergence()
        // end
        assertEquals(3, last.tokens());
    }

    @Test
    void guide(@TempDir Path folder) {
        File file = folder.resolve("model.fb").toFile();
        model().save(file, false);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        List<DataSet> batches = Networks.batches(DataType.FLOAT, 4, false);
        MultiDataSetIterator trainIterator = iterator(batches);
        MultiDataSetIterator testIterator = iterator(batches.subList(0, 3));
        MultiDataSetIterator sourceIterator = iterator(batches.subList(3, 4));
        int epochs = 2;
        // snippet
        SameDiff pretrained = SameDiff.load(file, false);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        TokenEvaluation targetBefore = TokenEvaluation.of(teacher, teacher, testIterator);
        TokenEvaluation sourceBefore = TokenEvaluation.of(teacher, teacher, sourceIterator);

        SameDiff student =
                Retention.withUpdater(Retention.attach(pretrained, conf, "logits", "features"), new Adam(3e-4));
        Retention.finetune(student, teacher, trainIterator, epochs);

        SameDiff plain = Retention.detach(student);
        Teacher tuned = Teacher.of(plain, "logits", "features"); // measured as the teacher is
        TokenEvaluation target = TokenEvaluation.of(tuned, teacher, testIterator);
        TokenEvaluation source = TokenEvaluation.of(tuned, teacher, sourceIterator);
        plain.save(folder.resolve("tuned.fb").toFile(), false);
        // end
        assertEquals(0, sourceBefore.divergence(), 1e-6);
        assertTrue(source.divergence() > 0);
        assertTrue(target.crossEntropy() < targetBefore.crossEntropy());
        SameDiff loaded = SameDiff.load(folder.resolve("tuned.fb").toFile(), false);
        assertFalse(loaded.hasVariable(RetentionLoss.LOSS));
        TokenEvaluation saved = TokenEvaluation.of(Teacher.of(loaded, "logits", "features"), teacher, sourceIterator);
        assertEquals(source, saved);
    }

    private static MultiDataSetIterator iterator(List<DataSet> batches) {
        return new MultiDataSetIteratorAdapter(new ExistingDataSetIterator(batches));
    }

    @Test
    void baselines(@TempDir Path folder) {
        File startFile = folder.resolve("start.fb").toFile();
        File tunedFile = folder.resolve("tuned.fb").toFile();
        File mergedFile = folder.resolve("merged.fb").toFile();
        SameDiff start = model();
        start.save(startFile, false);
        INDArray w = start.getVariable("w").getArr().dup();
        start.getVariable("w").getArr().muli(3);
        start.save(tunedFile, false);
        // snippet
        SameDiff merged = Merge.sameDiffs(MergeMethod.wiseFt(0.5))
                .base(SameDiff.load(startFile, false))
                .model(SameDiff.load(tunedFile, false))
                .merge();
        merged.save(mergedFile, false);
        // end
        Networks.assertClose(
                w.mul(2), SameDiff.load(mergedFile, false).getVariable("w").getArr(), 1e-6);
    }

    private static SameDiff model() {
        Random random = new Random(1);
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, Networks.INPUTS);
        SDVariable weights = sd.var("w", Networks.normal(DataType.FLOAT, random, Networks.INPUTS, Networks.VOCABULARY));
        features.mmul(weights).rename("logits");
        sd.placeHolder("labels", DataType.FLOAT, -1, Networks.VOCABULARY);
        return sd;
    }
}
