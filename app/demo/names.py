"""Names for people who do not exist, in the scripts and spellings that a city hall meets."""

from typing import NamedTuple


class Family(NamedTuple):
    """A family name, and given names that go with it in the same script."""

    name: str
    female: tuple[str, ...]
    male: tuple[str, ...]


FEMALE = (
    "Aylin", "Agnieszka", "Amira", "Anna", "Beata", "Chiara", "Clara", "Đặng Thu", "Elif", "Emilia", "Ewa", "Fatima",
    "Hanna", "Ida", "Ilse", "Ingrid", "Irina", "Jana", "Jolanta", "Karin", "Leonie", "Lena", "Leyla", "Mariam", "Marta",
    "Mia", "Monika", "Nadia", "Nele", "Nour", "Oksana", "Olga", "Petra", "Renate", "Rosa", "Samira", "Sofía", "Sabine",
    "Şükran", "Svitlana", "Tuğba", "Ursula", "Yasmin", "Zoë", "Željka", "Zeynep",
)  # fmt: skip
MALE = (
    "Adam", "Ahmet", "Ali", "Andrzej", "Ben", "Bernd", "Can", "Çağlar", "Daniel", "Dimitrios", "Emre", "Erik", "Ferhat",
    "Finn", "François", "Georg", "Günter", "Heinz", "Ibrahim", "Ivan", "Jakub", "Jan", "Jürgen", "Karim", "Klaus",
    "Leon", "Luca", "Łukasz", "Mehmet", "Milan", "Noah", "Oleksandr", "Omar", "Paul", "Piotr", "Rainer", "Rüdiger",
    "Samuel", "Søren", "Tobias", "Tomasz", "Uwe", "Víctor", "Werner", "Yusuf", "Zoran",
)  # fmt: skip
FAMILIES = (
    "Aksoy", "Bąk", "Becker", "Bozkurt", "Brandt", "Çelik", "Dąbrowski", "Demir", "Đorđević", "El-Amrani", "Fischer",
    "Friedrich", "Gómez", "Groß", "Hartmann", "Hoffmann", "Ilić", "Jansen", "Kaya", "Kowalczyk", "Köhler", "Krause",
    "Krüger", "Lange", "Lindström", "Łapiński", "Marić", "Meier", "Müller", "Naumann", "Nguyễn", "Nowak", "Öztürk",
    "Papadopoulos", "Pereira", "Pohl", "Richter", "Romano", "Schäfer", "Schmidt", "Schröder", "Schulte-Berge", "Şahin",
    "Sommer", "Strauß", "Tran", "Übelacker", "van der Heide", "Vogel", "Weiß", "Winkler", "Wójcik", "Yıldırım",
    "Zając", "Zimmermann",
)  # fmt: skip
OTHER_SCRIPTS = (
    Family("Шевченко", ("Олена", "Дарина", "Оксана"), ("Андрій", "Тарас", "Максим")),
    Family("Коваленко", ("Ірина", "Софія", "Марія"), ("Дмитро", "Іван", "Олег")),
    Family("الأحمد", ("ليلى", "فاطمة", "نور"), ("محمد", "يوسف", "عمر")),
    Family("حداد", ("مريم", "سارة", "هدى"), ("خالد", "سامي", "كريم")),
    Family("کریمی", ("مریم", "زهرا", "پری"), ("یوسف", "علی", "رضا")),
    Family("Γεωργίου", ("Ελένη", "Μαρία", "Άννα"), ("Νίκος", "Γιώργος", "Πέτρος")),
    Family("王", ("芳", "丽", "静"), ("明", "伟", "强")),
    Family("በቀለ", ("ትዕግስት", "ሰላም", "ሕይወት"), ("ዳዊት", "አበበ", "ዮናስ")),
    Family("ბერიძე", ("ნინო", "მარიამი", "ანა"), ("გიორგი", "ლუკა", "დავითი")),
    Family("Պետրոսյան", ("Անի", "Մարիամ", "Նարե"), ("Արամ", "Տիգրան", "Դավիթ")),
    Family("शर्मा", ("रीता", "अनिता", "मीरा"), ("राज", "अमित", "अजय")),
    Family("לוי", ("נועה", "מרים", "יעל"), ("דוד", "יוסף", "אורי")),
)

STREETS = (
    ("Münsterstraße", "44145"), ("Mallinckrodtstraße", "44147"), ("Kaiserstraße", "44135"), ("Ruhrallee", "44137"),
    ("Hörder Bahnhofstraße", "44263"), ("Rheinische Straße", "44137"), ("Evinger Straße", "44339"),
    ("Saarlandstraße", "44139"), ("Brackeler Hellweg", "44309"), ("Provinzialstraße", "44388"),
    ("Aplerbecker Straße", "44319"), ("Mengeder Straße", "44359"), ("Leopoldstraße", "44147"),
    ("Schützenstraße", "44147"), ("Am Remberg", "44263"), ("Westfalendamm", "44141"),
)  # fmt: skip
"""Streets of Dortmund with a postcode of theirs; house numbers are made up."""

DISTRICTS = {
    "44135": "01", "44137": "01", "44145": "02", "44147": "02", "44139": "03", "44141": "03", "44339": "04",
    "44309": "06", "44319": "06", "44263": "08", "44388": "10", "44359": "12",
}  # fmt: skip
"""The district in which most of a postcode lies, in the order in which the city lists its districts."""
