package io.github.dl4jretention.spark;

import io.github.dl4jretention.eval.ParetoFront;
import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.FinetuneObserver;
import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.FinetuneResult;
import io.github.dl4jretention.sweep.task.FinetuneTaskCreator;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.Pruning;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.teacher.TeacherException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.jspecify.annotations.Nullable;

/**
 * Trains and scores one candidate on an executor, as the local sweep does.
 *
 * @param problem       what all candidates share
 * @param index         of the candidate
 * @param configuration how it's finetuned
 * @param score         what candidates are chosen by
 * @param pruning       when it's scored on its way, and whether it goes on
 * @param known         losses of candidates that have ended: a model that is worse than one of them stays where it is
 */
record CandidateCall(
        SharedProblem problem,
        int index,
        FinetuneConfiguration configuration,
        RetentionScore score,
        Pruning pruning,
        ArrayList<Losses> known)
        implements ClusterCall<CandidateAnswer> {

    @Override
    public CandidateAnswer call() throws Exception {
        FinetuneProblem shared = problem.open();
        Recorder recorder = new Recorder(shared);
        new FinetuneTaskCreator(shared, recorder)
                .create(new Candidate<>(configuration, index, new double[0]), null, null, score, List.of(), null)
                .call();
        return recorder.answer();
    }

    /** Keeps how the candidate ends. */
    private final class Recorder implements FinetuneObserver {

        private final FinetuneProblem shared;
        private @Nullable CandidateAnswer answer;
        private @Nullable Throwable error;

        Recorder(FinetuneProblem shared) {
            this.shared = shared;
        }

        @Override
        public Pruning pruning(int candidate) {
            return pruning;
        }

        @Override
        public void onResult(
                int candidate,
                FinetuneConfiguration how,
                FinetuneResult result,
                @Nullable Double value,
                @Nullable Object plain) {
            try {
                boolean sent = result.validation() != null && mayBeOnTheFront(result.validation());
                answer = new CandidateAnswer(result, value, sent ? file(Objects.requireNonNull(plain)) : null, null);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private boolean mayBeOnTheFront(Losses own) {
            // The first of equal ones stays on a front.
            List<Losses> all = new ArrayList<>(List.of(own));
            all.addAll(known);
            Losses base = shared.baseLosses();
            return ParetoFront.<Losses>of(all, one -> one.gain(base), one -> one.forgetting(base)).points().stream()
                    .anyMatch(one -> one == own);
        }

        private ByteChunks file(Object plain) throws IOException {
            Path file = Files.createTempFile("candidate", AtomicFile.PART);
            try {
                shared.model().save(plain, file);
                return ByteChunks.of(file);
            } finally {
                Files.delete(file);
            }
        }

        @Override
        public void onFailure(int candidate, @Nullable FinetuneConfiguration how, Throwable reason) {
            if (answer == null) {
                String text = reason.getMessage() == null ? reason.toString() : reason.getMessage();
                answer = new CandidateAnswer(null, null, null, text);
            }
        }

        @Override
        public void onError(int candidate, Throwable thrown) {
            error = thrown;
        }

        CandidateAnswer answer() throws Exception {
            if (error instanceof TeacherException exception) {
                throw exception;
            }
            if (error instanceof Exception exception) {
                throw exception;
            }
            if (error instanceof Error fatal) {
                throw fatal;
            }
            return Objects.requireNonNull(answer);
        }
    }
}
