package io.github.dl4jretention.sweep.ui;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RetentionScore;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import org.deeplearning4j.core.storage.Persistable;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.ui.api.UIModule;
import org.deeplearning4j.ui.model.storage.InMemoryStatsStorage;
import org.junit.jupiter.api.Test;

class SweepModuleTest {

    private static SweepOutcome sweep(int failures) {
        List<CandidateOutcome> candidates = new ArrayList<>();
        for (int i = 0; i < failures; i++) {
            candidates.add(CandidateOutcome.failed(i, null, "reason " + i));
        }
        return new SweepOutcome(Map.of(), RetentionScore.weighted(1), new Losses(1, 2), null, 9, 3, false, candidates);
    }

    @Test
    void the_user_interface_finds_the_module_and_its_page_shows_the_newest_state() {
        SweepModule module = ServiceLoader.load(UIModule.class).stream()
                .filter(provider -> provider.type() == SweepModule.class)
                .map(provider -> (SweepModule) provider.get())
                .findFirst()
                .orElseThrow();
        assertEquals("/retention", module.getRoutes().get(0).getRoute());
        StatsStorage storage = new InMemoryStatsStorage();
        module.onAttach(storage);
        assertTrue(module.page().contains("No sweep has reported"));
        SweepStatsListener listener = new SweepStatsListener("mine", storage);
        listener.onStart(sweep(0));
        assertTrue(module.page().contains("In work: 0 of 9 candidates"), module.page());
        for (int failures = 1; failures <= 2; failures++) {
            SweepOutcome sweep = sweep(failures);
            listener.onCandidate(sweep, sweep.candidates().get(0));
            assertTrue(module.page().contains("In work: " + failures + " of 9 candidates"), module.page());
            assertTrue(module.page().contains("reason " + (failures - 1)));
        }
        module.onDetach(storage);
        assertTrue(module.page().contains("No sweep has reported"));
    }

    @Test
    void updates_survive_their_encoding() throws Exception {
        SweepUpdate update = new SweepUpdate("säsion", 17, sweep(2));
        SweepUpdate copy = new SweepUpdate();
        copy.decode(update.encode());
        assertEquals(update.sweep(), copy.sweep());
        assertEquals("säsion", copy.getSessionID());
        assertEquals(17, copy.getTimeStamp());
        assertArrayEquals(update.encode(), copy.encode());
        assertEquals(update.encode().length, update.encodingLengthBytes());
        assertInstanceOf(Persistable.class, copy);
    }
}
