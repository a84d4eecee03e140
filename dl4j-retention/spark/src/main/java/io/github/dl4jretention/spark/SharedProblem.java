package io.github.dl4jretention.spark;

import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.ProblemStream;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.io.InputStream;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.Map;
import org.apache.spark.broadcast.Broadcast;
import org.jspecify.annotations.Nullable;

/**
 * A problem of a sweep, as an executor finds it. It's made once on each.
 *
 * @param id       of the sweep's start
 * @param bytes    as {@link ProblemStream#write} writes it
 * @param teacher  null for the model itself
 * @param identity of the problem on the driver
 */
record SharedProblem(
        String id, Broadcast<ByteChunks> bytes, @Nullable TeacherFactory teacher, Map<String, String> identity)
        implements Serializable {

    /** @throws IllegalStateException if it comes out otherwise than it was sent */
    FinetuneProblem open() throws Exception {
        return SharedObjects.get(id, this::made);
    }

    private FinetuneProblem made() throws IOException {
        FinetuneProblem problem;
        try (InputStream in = bytes.value().stream()) {
            problem = ProblemStream.read(in, this::teacher);
        } catch (IOException | RuntimeException e) {
            throw new IllegalStateException("model: expected one that can be written and read again, got " + e, e);
        }
        Map<String, String> own = problem.identity();
        identity.forEach((name, expected) -> {
            if (!expected.equals(own.get(name))) {
                throw new IllegalStateException(name + ": expected what the driver has, " + expected + ", got "
                        + own.get(name) + "; it's lost when it's written and read again, or the executor sees another");
            }
        });
        return problem;
    }

    private Teacher teacher(FinetuneModel model) {
        try {
            return teacher == null ? model.teacher() : teacher.create(model.teacher());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
