package io.github.dl4jretention.sweep.ui;

import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.report.HtmlReport;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.deeplearning4j.core.storage.Persistable;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.core.storage.StatsStorageEvent;
import org.deeplearning4j.ui.api.HttpMethod;
import org.deeplearning4j.ui.api.Route;
import org.deeplearning4j.ui.api.UIModule;
import org.deeplearning4j.ui.i18n.I18NResource;

/** The page {@code /retention} of DL4J's user interface, which finds this class by ServiceLoader. */
public final class SweepModule implements UIModule {

    private static final int REFRESH_SECONDS = 5;

    private final Set<StatsStorage> storages = ConcurrentHashMap.newKeySet();

    @Override
    public List<String> getCallbackTypeIDs() {
        return List.of(SweepUpdate.TYPE);
    }

    @Override
    public List<Route> getRoutes() {
        return List.of(new Route("/retention", HttpMethod.GET, (path, context) -> context.response()
                .putHeader("content-type", "text/html; charset=utf-8")
                .end(page())));
    }

    /** The newest sweep of all storages. */
    String page() {
        return newest().map(sweep -> HtmlReport.live(sweep, REFRESH_SECONDS))
                .orElse("<!DOCTYPE html><html><head><meta http-equiv=\"refresh\" content=\"" + REFRESH_SECONDS
                        + "\"/><title>Sweep</title></head><body><p>No sweep has reported yet.</p></body></html>");
    }

    private Optional<SweepOutcome> newest() {
        Persistable newest = null;
        for (StatsStorage storage : storages) {
            for (String session : storage.listSessionIDs()) {
                for (Persistable update : storage.getLatestUpdateAllWorkers(session, SweepUpdate.TYPE)) {
                    newest = newest == null || update.getTimeStamp() >= newest.getTimeStamp() ? update : newest;
                }
            }
        }
        return newest instanceof SweepUpdate update ? Optional.of(update.sweep()) : Optional.empty();
    }

    /** Nothing: the page asks the storages when it is loaded. */
    @Override
    public void reportStorageEvents(Collection<StatsStorageEvent> events) {}

    @Override
    public void onAttach(StatsStorage statsStorage) {
        storages.add(statsStorage);
    }

    @Override
    public void onDetach(StatsStorage statsStorage) {
        storages.remove(statsStorage);
    }

    @Override
    public List<I18NResource> getInternationalizationResources() {
        return List.of();
    }
}
