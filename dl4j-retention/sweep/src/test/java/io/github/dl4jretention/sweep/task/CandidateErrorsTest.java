package io.github.dl4jretention.sweep.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ops.executioner.OpExecutioner;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.exception.ND4JIllegalStateException;
import org.nd4j.linalg.exception.ND4JOpProfilerException;
import org.nd4j.linalg.factory.Nd4j;

/** Whose fault it is if a candidate's training throws. */
class CandidateErrorsTest {

    private static final DataType TYPE = DataType.DOUBLE;
    private static final FinetuneConfiguration PLAIN =
            new FinetuneConfiguration(FinetuneMethod.PLAIN, null, 0.01, 1, 1, -1);

    private static FinetuneProblem problem(Batches training) {
        SweepData data = SweepTexts.data(TYPE);
        return new FinetuneProblem(
                FinetuneModel.of(Networks.lstm(TYPE, 1)),
                new SweepData(
                        training,
                        data.validationTarget(),
                        data.validationSource(),
                        data.testTarget(),
                        data.testSource()));
    }

    private static Batches failing(RuntimeException e) {
        return () -> {
            throw e;
        };
    }

    /** What a task tells: a failure of the candidate, or an error of something else. */
    private static List<Throwable> told(Batches training, boolean failure) throws Exception {
        List<Throwable> failures = new ArrayList<>();
        List<Throwable> errors = new ArrayList<>();
        FinetuneObserver observer = new FinetuneObserver() {
            @Override
            public void onFailure(int candidate, FinetuneConfiguration configuration, Throwable reason) {
                failures.add(reason);
            }

            @Override
            public void onError(int candidate, Throwable error) {
                errors.add(error);
            }
        };
        new FinetuneTaskCreator(problem(training), observer)
                .create(
                        new Candidate<>(PLAIN, 3, new double[0]),
                        null,
                        null,
                        RetentionScore.weighted(1),
                        List.of(),
                        null)
                .call();
        assertEquals(List.of(), failure ? errors : failures);
        return failure ? failures : errors;
    }

    @Test
    void what_nd4j_and_dl4j_throw_is_the_candidate_s() throws Exception {
        for (RuntimeException thrown : List.of(
                new ND4JOpProfilerException("as if"),
                new ND4JIllegalStateException("as if"),
                new DL4JInvalidInputException("as if"))) {
            assertEquals(List.of(thrown), told(failing(thrown), true));
        }
    }

    @Test
    @SuppressWarnings("deprecation")
    void a_number_that_is_none_fails_the_candidate_under_panic_too() throws Exception {
        DataSet broken = Networks.sequences(TYPE, 3, 1);
        broken.getFeatures().putScalar(0, 0, 0, Double.NaN);
        Batches text = Batches.of(new ExistingDataSetIterator(List.of(broken)));
        OpExecutioner.ProfilingMode before = Nd4j.getExecutioner().getProfilingMode();
        Nd4j.getExecutioner().setProfilingMode(OpExecutioner.ProfilingMode.NAN_PANIC);
        try {
            assertEquals(ND4JOpProfilerException.class, told(text, true).get(0).getClass());
        } finally {
            Nd4j.getExecutioner().setProfilingMode(before);
        }
    }

    @Test
    void any_other_error_is_told_with_candidate_and_configuration() throws Exception {
        RuntimeException thrown = new UnsupportedOperationException("as if");
        Throwable error = told(failing(thrown), false).get(0);
        assertSame(thrown, error.getCause());
        assertEquals("candidate: 3, " + PLAIN + ": " + thrown, error.getMessage());
    }

    @Test
    void an_interrupt_is_told_and_stays() {
        FinetuneProblem problem = problem(SweepTexts.target(TYPE, 4, 10));
        Thread.currentThread().interrupt();
        IllegalStateException e = assertThrows(IllegalStateException.class, () -> problem.finetune(PLAIN));
        assertTrue(Thread.interrupted(), "the thread is interrupted still");
        assertEquals("candidate: interrupted before it was trained", e.getMessage());
        assertTrue(e.getCause() instanceof InterruptedException, String.valueOf(e.getCause()));
    }

    @Test
    void workspaces_of_the_caller_s_thread_stay() {
        try (MemoryWorkspace own = Nd4j.getWorkspaceManager().getAndActivateWorkspace("own")) {
            assertTrue(own.isScopeActive());
        }
        problem(SweepTexts.target(TYPE, 4, 10)).finetune(PLAIN);
        assertTrue(Nd4j.getWorkspaceManager().checkIfWorkspaceExists("own"));
        Nd4j.getWorkspaceManager().destroyAllWorkspacesForCurrentThread();
    }
}
