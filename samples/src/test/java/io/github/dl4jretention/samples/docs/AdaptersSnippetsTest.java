package io.github.dl4jretention.samples.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.LowRankAdapters;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.Random;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.learning.config.Adam;

/** What the docs show of adapters. */
class AdaptersSnippetsTest {

    @Test
    void adapters() {
        byte[] text = new byte[500];
        new Random(1).nextBytes(text);
        ByteWindowIterator batches = ByteWindowIterator.training(2, ModelKind.CONTEXT, 2, 1, text);
        MultiLayerNetwork base = ModelKind.TRANSFORMER.create(new Adam(1e-3), 3);
        RetentionConfiguration conf = RetentionConfiguration.builder().build();
        // snippet
        MultiLayerNetwork adapted =
                LowRankAdapters.attach(base, LowRankAdapters.rank(8).alpha(16).layers("attention"));
        Teacher teacher = LowRankAdapters.teacher(adapted);
        MultiLayerNetwork student = Retention.attach(Retention.withUpdater(adapted, new Adam(1e-3)), conf, teacher);
        student.fit(new TeacherIterator(batches, teacher));
        MultiLayerNetwork merged = LowRankAdapters.merge(student);
        // end
        assertEquals(base.numParams(), merged.numParams());
    }
}
